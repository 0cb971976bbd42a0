//! One file for several controls: the API server takes one AdmissionConfiguration, and each control has a plug-in in
//! it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::ControlFile;

/// The kind of file that two controls may both have.
const KIND: &str = "AdmissionConfiguration";

/// Two AdmissionConfigurations in one. `None` where one of the files is something else, or both configure the same
/// plug-in.
pub fn join(one: &ControlFile, other: &ControlFile) -> Option<ControlFile> {
    let (mut joined, mut other) = (configuration(one)?, configuration(other)?);
    let theirs = other["plugins"].as_array_mut()?;
    let ours = joined["plugins"].as_array_mut()?;
    let names: BTreeSet<Option<&str>> = ours.iter().map(|plugin| plugin["name"].as_str()).collect();
    if theirs.iter().any(|plugin| names.contains(&plugin["name"].as_str())) {
        return None;
    }
    ours.append(theirs);
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

    fn with(plugins: &[&str]) -> ControlFile {
        let plugins: Vec<Value> = plugins.iter().map(|name| json!({"name": name})).collect();
        let version = "apiserver.config.k8s.io/v1";
        ControlFile::of(json!({"apiVersion": version, "kind": KIND, "plugins": plugins}))
    }

    #[test]
    fn plug_ins_of_two_controls_stand_in_one_file() {
        let joined = join(&with(&["PodSecurity"]), &with(&["ValidatingAdmissionWebhook"]));
        assert_eq!(joined, Some(with(&["PodSecurity", "ValidatingAdmissionWebhook"])));
    }

    #[test]
    fn a_plug_in_that_both_configure_and_another_kind_are_not_joined() {
        let pods = with(&["PodSecurity"]);
        assert_eq!(join(&pods, &with(&["EventRateLimit", "PodSecurity"])), None);
        assert_eq!(join(&pods, &ControlFile::of(json!({"kind": "Policy"}))), None);
        let empty = ControlFile { text: String::new(), documents: Vec::new() };
        assert_eq!(join(&empty, &pods), None);
    }
}
