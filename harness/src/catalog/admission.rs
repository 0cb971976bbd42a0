//! One file for several controls: the API server takes one AdmissionConfiguration, and each control has a plug-in in
//! it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::catalog::documents;

/// The kind of file that two controls may both have.
const KIND: &str = "AdmissionConfiguration";

/// Two AdmissionConfigurations in one. None where one of the texts is something else, or both configure the same
/// plug-in.
pub fn join(one: &str, other: &str) -> Option<String> {
    let (mut joined, mut other) = (configuration(one)?, configuration(other)?);
    let theirs = other["plugins"].as_array_mut()?;
    let ours = joined["plugins"].as_array_mut()?;
    let names: BTreeSet<Option<&str>> = ours.iter().map(|plugin| plugin["name"].as_str()).collect();
    if theirs.iter().any(|plugin| names.contains(&plugin["name"].as_str())) {
        return None;
    }
    ours.append(theirs);
    // JSON is YAML, and the API server reads either.
    Some(format!("{joined:#}\n"))
}

fn configuration(text: &str) -> Option<Value> {
    let [document]: [Value; 1] = documents(text).ok()?.try_into().ok()?;
    (document["kind"] == KIND).then_some(document)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(plugins: &[&str]) -> String {
        let plugins: Vec<Value> = plugins.iter().map(|name| json!({"name": name})).collect();
        json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": KIND, "plugins": plugins})
            .to_string()
    }

    #[test]
    fn plug_ins_of_two_controls_stand_in_one_file() {
        let joined = join(&with(&["PodSecurity"]), &with(&["ValidatingAdmissionWebhook"]));
        let joined = documents(&joined.expect("joined")).expect("YAML");
        let both = with(&["PodSecurity", "ValidatingAdmissionWebhook"]);
        assert_eq!(joined, documents(&both).expect("YAML"));
    }

    #[test]
    fn a_plug_in_that_both_configure_and_another_kind_are_not_joined() {
        let pods = with(&["PodSecurity"]);
        assert_eq!(join(&pods, &with(&["EventRateLimit", "PodSecurity"])), None);
        assert_eq!(join(&pods, "kind: Policy"), None);
        assert_eq!(join("", &pods), None);
    }
}
