//! What several controls set of one API server: lists of names are put together, and AdmissionConfigurations, of which
//! each control has a plug-in. Whatever else two controls set in two ways is a clash.

use std::fmt;

use serde_json::Value;

use super::ControlFile;
use crate::model::{Control, WebhookServer};

/// The kind of file that two controls may both have.
const KIND: &str = "AdmissionConfiguration";

/// The flags that are lists, to which each control adds its own: order means nothing in them. That of authorization modes
/// decides.
const LISTS: [&str; 4] =
    ["disable-admission-plugins", "enable-admission-plugins", "feature-gates", "runtime-config"];

/// What two controls set in two ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clash {
    /// A flag.
    Flag(String),
    /// A file.
    File(String),
    /// What serves in the place of a Deployment, or for a Service.
    Served(String),
}

impl Clash {
    /// Where the `control.yaml` of a control sets it, as a JSON pointer.
    pub(super) fn pointer(&self, control: &Control) -> String {
        match self {
            Clash::Flag(flag) => format!("/api-server/flags/{flag}"),
            Clash::File(_) => "/api-server/files".to_owned(),
            Clash::Served(place) => {
                let serves = |server: &WebhookServer| server.places().any(|it| it == *place);
                let position = control.servers.iter().position(serves);
                format!("/servers/{}/deployment", position.unwrap_or_default())
            }
        }
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Clash::Flag(flag) if flag == "admission-control-config-file" => {
                "two AdmissionConfigurations are put into one where their files have the same name: call yours as the other"
            }
            Clash::Flag(_) => {
                "the API server takes one of them: leave one control out of the profile, or have yours replace the other \
                 in `catalog.yaml`"
            }
            Clash::File(_) => {
                "the API server has one file of this name: call yours otherwise, or leave one control out of the profile; \
                 of AdmissionConfigurations that share no plug-in one is made"
            }
            Clash::Served(_) => {
                "one thing serves in one place: name it in `servers` of one control, or leave the other out of the profile"
            }
        }
    }
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Clash::Flag(flag) => write!(f, "--{flag}"),
            Clash::File(name) => write!(f, "the file {name}"),
            Clash::Served(place) => write!(f, "what serves for {place}"),
        }
    }
}

/// Two values of one flag in one. `None` where the API server cannot have both.
pub fn join_flag(flag: &str, one: &str, other: &str) -> Option<String> {
    if one == other {
        return Some(one.to_owned());
    }
    if !LISTS.contains(&flag) {
        return None;
    }
    let mut joined: Vec<&str> = one.split(',').collect();
    for item in other.split(',') {
        let same = |it: &&&str| it.split('=').next() == item.split('=').next();
        match joined.iter().find(same) {
            Some(there) if *there != item => return None,
            Some(_) => {}
            None => joined.push(item),
        }
    }
    Some(joined.join(","))
}

/// Two files of one name in one: the same file, or two AdmissionConfigurations. `None` where they are two files, or
/// configure a plug-in in two ways.
pub fn join(one: &ControlFile, other: &ControlFile) -> Option<ControlFile> {
    if one == other {
        return Some(one.clone());
    }
    let (mut joined, other) = (configuration(one)?, configuration(other)?);
    let plug_ins = joined["plugins"].as_array_mut()?;
    for theirs in other["plugins"].as_array()? {
        match plug_ins.iter().find(|it| it["name"] == theirs["name"]) {
            Some(there) if there != theirs => return None,
            Some(_) => {}
            None => plug_ins.push(theirs.clone()),
        }
    }
    Some(ControlFile::of(joined))
}

fn configuration(file: &ControlFile) -> Option<Value> {
    let [document] = file.documents.as_slice() else { return None };
    (document["kind"] == KIND).then(|| document.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(plugins: &[Value]) -> ControlFile {
        let version = "apiserver.config.k8s.io/v1";
        ControlFile::of(json!({"apiVersion": version, "kind": KIND, "plugins": plugins}))
    }

    fn with(plugins: &[&str]) -> ControlFile {
        of(&plugins.iter().map(|name| json!({"name": name})).collect::<Vec<_>>())
    }

    #[test]
    fn plug_ins_of_two_controls_stand_in_one_file() {
        let joined = join(&with(&["PodSecurity"]), &with(&["ValidatingAdmissionWebhook"]));
        assert_eq!(joined, Some(with(&["PodSecurity", "ValidatingAdmissionWebhook"])));
        let joined = join(&with(&["PodSecurity"]), &with(&["EventRateLimit", "PodSecurity"]));
        assert_eq!(joined, Some(with(&["PodSecurity", "EventRateLimit"])));
    }

    #[test]
    fn a_plug_in_in_two_ways_and_another_kind_are_not_joined() {
        let pods = with(&["PodSecurity"]);
        assert_eq!(join(&pods, &of(&[json!({"name": "PodSecurity", "path": "x"})])), None);
        let policy = ControlFile::of(json!({"kind": "Policy"}));
        assert_eq!(join(&pods, &policy), None);
        assert_eq!(join(&policy, &policy), Some(policy.clone()));
        let empty = ControlFile { text: String::new(), documents: Vec::new() };
        assert_eq!(join(&empty, &pods), None);
    }

    #[test]
    fn lists_are_put_together_and_nothing_else() {
        let join = |flag, one, other| join_flag(flag, one, other);
        let plug_ins = "enable-admission-plugins";
        let both = join(plug_ins, "NodeRestriction,PodSecurity", "PodSecurity,EventRateLimit");
        assert_eq!(both.as_deref(), Some("NodeRestriction,PodSecurity,EventRateLimit"));
        let gates = "feature-gates";
        assert_eq!(join(gates, "A=true", "B=false").as_deref(), Some("A=true,B=false"));
        assert_eq!(join(gates, "A=true,B=true", "B=false"), None);
        // The first that decides, decides.
        assert_eq!(join("authorization-mode", "Node,RBAC", "Node,Webhook"), None);
        assert_eq!(join("profiling", "false", "false").as_deref(), Some("false"));
    }
}
