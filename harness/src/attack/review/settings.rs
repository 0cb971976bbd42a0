//! How the API server and the kubelet are set.

use serde_json::Value;

use super::{all_read, file, flaw, texts};
use crate::attack::{ActionError, World};
use crate::cluster::ServerSettings;
use crate::model::{Flaw, Reviewed, SettingReview};

const AUTHENTICATION: &str = "authentication-config";
const AUDIT_POLICY: &str = "audit-policy-file";

/// Reads settings as the process was started with them, or as the kubelet tells its own.
pub(super) async fn read(world: &World, review: &SettingReview) -> Result<Reviewed, ActionError> {
    let found = match review {
        SettingReview::Anonymous(review) => {
            let settings = world.settings()?;
            file(settings, AUTHENTICATION).map(|file| anonymous(settings, file, &review.paths))
        }
        SettingReview::Audit(_) => {
            let settings = world.settings()?;
            file(settings, AUDIT_POLICY).map(|file| audit(settings, file.as_ref()))
        }
        SettingReview::Kubelet(_) => Ok(kubelet(&world.access.kubelet_configuration().await?)),
    };
    Ok(match found {
        Ok(flaws) => all_read(1, flaws),
        Err(why) => Reviewed { unread: vec![why], ..Reviewed::default() },
    })
}

/// What is answered without credentials: everything, unless it is said otherwise
/// (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-authenticator-configuration>).
fn anonymous(settings: &ServerSettings, file: Option<Value>, paths: &[String]) -> Vec<Flaw> {
    let everything = "whoever reaches the port is system:anonymous, and one binding to that name, or a hole behind it, is \
                      enough";
    let flag = format!("--{AUTHENTICATION}");
    let Some(file) = file.filter(|file| !file["anonymous"].is_null()) else {
        let is_off = settings.flags.get("anonymous-auth").map(String::as_str) == Some("false");
        let is = "not false, and nothing limits it";
        return (!is_off)
            .then(|| flaw("--anonymous-auth", "", is, everything))
            .into_iter()
            .collect();
    };
    if file["anonymous"]["enabled"] != true {
        return Vec::new();
    }
    let conditions: Vec<&Value> =
        file["anonymous"]["conditions"].as_array().into_iter().flatten().collect();
    if conditions.is_empty() {
        return vec![flaw(&flag, "anonymous.conditions", "not set", everything)];
    }
    let open = conditions.into_iter().filter_map(|condition| condition["path"].as_str());
    let open = open.filter(|path| !paths.iter().any(|allowed| allowed == path));
    let tell = |path: &str| {
        let follows = "ask for it without any credential; whether a role stands behind it is another's mistake to make";
        flaw(&flag, "anonymous.conditions", format!("open for {path}"), follows)
    };
    open.map(tell).collect()
}

/// Resources of which no rule may be silent: ways into pods and past the API server, credentials, and who may what.
const TOLD: [(&str, &str); 12] = [
    ("", "pods"),
    ("", "pods/exec"),
    ("", "pods/attach"),
    ("", "pods/portforward"),
    ("", "pods/ephemeralcontainers"),
    ("", "nodes/proxy"),
    ("", "secrets"),
    ("", "serviceaccounts/token"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
];

/// The API server's own name, as which nobody else acts.
const ITSELF: &str = "system:apiserver";

/// What the audit log keeps (<https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/>).
fn audit(settings: &ServerSettings, policy: Option<&Value>) -> Vec<Flaw> {
    let unseen = "nothing that anybody does is written down: try whatever comes to mind";
    let mut found = Vec::new();
    if !["audit-log-path", "audit-webhook-config-file"]
        .iter()
        .any(|flag| settings.flags.contains_key(*flag))
    {
        found.push(flaw("--audit-log-path", "", "not set", unseen));
    }
    for flag in ["audit-log-truncate-enabled", "audit-webhook-truncate-enabled"] {
        if settings.flags.get(flag).is_some_and(|value| value == "true") {
            let follows = "send a large request, and what it held is cut out of its event";
            found.push(flaw(&format!("--{flag}"), "", "true", follows));
        }
    }
    let Some(policy) = policy else {
        found.push(flaw(&format!("--{AUDIT_POLICY}"), "", "not set", unseen));
        return found;
    };
    if texts(&policy["omitStages"]).any(|stage| stage == "ResponseStarted") {
        let follows = "a shell that stays open leaves no event for as long as it is, and a call without credentials none";
        found.push(flaw("Policy", "omitStages", "ResponseStarted", follows));
    }
    let rules: Vec<&Value> = policy["rules"].as_array().into_iter().flatten().collect();
    found.extend(rules.iter().enumerate().filter_map(|(position, rule)| silent(rule, position)));
    found.extend(bodies(&rules));
    found
}

/// A rule by which an attack leaves nothing.
fn silent(rule: &Value, position: usize) -> Option<Flaw> {
    let is_by_itself = texts(&rule["users"]).count() > 0
        && texts(&rule["users"]).all(|user| user == ITSELF)
        && texts(&rule["userGroups"]).count() == 0;
    if rule["level"] != "None" || is_by_itself {
        return None;
    }
    let silenced: Vec<&str> = TOLD
        .iter()
        .filter(|(group, resource)| concerns(rule, group, resource))
        .map(|(_, resource)| *resource)
        .collect();
    let field = format!("rules[{position}]");
    let follows = "whoever this rule names, or can be, leaves nothing in the log";
    (!silenced.is_empty())
        .then(|| flaw("Policy", &field, format!("None for {}", super::names(&silenced)), follows))
}

/// Rules by which the values of Secrets are in the log. What comes after a rule about all of them decides nothing.
fn bodies(rules: &[&Value]) -> Option<Flaw> {
    let is_limited = |rule: &Value| {
        ["users", "userGroups", "verbs", "namespaces"]
            .iter()
            .any(|key| texts(&rule[*key]).count() > 0)
    };
    let mut concerned = rules.iter().enumerate().filter(|(_, rule)| concerns(rule, "", "secrets"));
    let last = concerned.clone().position(|(_, rule)| !is_limited(rule)).unwrap_or(usize::MAX);
    let has_bodies =
        |rule: &Value| matches!(rule["level"].as_str(), Some("Request" | "RequestResponse"));
    let (position, rule) =
        concerned.by_ref().take(last.saturating_add(1)).find(|(_, rule)| has_bodies(rule))?;
    let level = rule["level"].as_str().unwrap_or_default();
    let follows =
        "whoever reads the log, or what it is sent to, reads every Secret that anybody has touched";
    Some(flaw("Policy", &format!("rules[{position}]"), format!("{level} for secrets"), follows))
}

/// Whether a rule of an audit policy is about a resource, for whomever. Without resources and paths it is about all; a
/// group without resources is about all of the group's.
fn concerns(rule: &Value, group: &str, resource: &str) -> bool {
    let Some(groups) = rule["resources"].as_array().filter(|groups| !groups.is_empty()) else {
        return texts(&rule["nonResourceURLs"]).count() == 0;
    };
    groups.iter().any(|it| {
        let is_of_group = it["group"].as_str().unwrap_or_default() == group;
        // Here `*` is every resource and subresource (the same documentation).
        let (whole, sub) = resource.split_once('/').unwrap_or((resource, ""));
        let fits = |pattern: &str| {
            pattern == "*"
                || pattern == resource
                || pattern.strip_suffix("/*") == Some(whole)
                || !sub.is_empty() && pattern.strip_prefix("*/") == Some(sub)
        };
        is_of_group && (texts(&it["resources"]).count() == 0 || texts(&it["resources"]).any(fits))
    })
}

/// Whom the kubelet answers (<https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/>).
fn kubelet(configuration: &Value) -> Vec<Flaw> {
    let mut found = Vec::new();
    let mut tell = |field: &str, is: &Value, follows: &str| {
        found.push(flaw("KubeletConfiguration", field, is.to_string(), follows));
    };
    let authentication = &configuration["authentication"];
    if authentication["anonymous"]["enabled"] != false {
        let follows = "whoever reaches the node's port 10250 is asked for no credential";
        tell("authentication.anonymous.enabled", &authentication["anonymous"]["enabled"], follows);
    }
    if authentication["webhook"]["enabled"] != true {
        let follows =
            "the kubelet asks nobody whose token it is: revoke one, and it opens the node still";
        tell("authentication.webhook.enabled", &authentication["webhook"]["enabled"], follows);
    }
    if configuration["authorization"]["mode"] != "Webhook" {
        let follows = "whoever it knows may do everything: take any pod's token, and run commands in every pod of the node";
        tell("authorization.mode", &configuration["authorization"]["mode"], follows);
    }
    // The kubelet leaves out what is zero.
    if configuration["readOnlyPort"].as_u64().unwrap_or_default() != 0 {
        let follows =
            "ask it without any credential, and read every pod of the node with its environment";
        tell("readOnlyPort", &configuration["readOnlyPort"], follows);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn settings(flags: &[(&str, &str)]) -> ServerSettings {
        let flags = flags.iter().map(|(flag, value)| ((*flag).to_owned(), (*value).to_owned()));
        ServerSettings { flags: flags.collect(), files: BTreeMap::new() }
    }

    fn told(flaws: Vec<Flaw>) -> Vec<String> {
        flaws
            .into_iter()
            .map(|flaw| format!("{} {} {}", flaw.object, flaw.field, flaw.is))
            .collect()
    }

    #[test]
    fn anonymous_callers_get_what_is_allowed() {
        let find = |flags: &[(&str, &str)], file: Option<Value>| {
            told(anonymous(&settings(flags), file, &["/livez".to_owned()]))
        };
        let with = |anonymous: Value| Some(json!({"anonymous": anonymous}));
        let off: &[(&str, &str)] = &[("anonymous-auth", "false")];
        assert_eq!(find(off, None), [""; 0]);
        assert_eq!(find(off, Some(json!({"jwt": []}))), [""; 0]);
        assert_eq!(find(&[], with(json!({"enabled": false}))), [""; 0]);
        assert_eq!(
            find(&[], with(json!({"enabled": true, "conditions": [{"path": "/livez"}]}))),
            [""; 0]
        );
        let unlimited = "--anonymous-auth  not false, and nothing limits it";
        assert_eq!(find(&[], None), [unlimited]);
        assert_eq!(find(&[("anonymous-auth", "true")], None), [unlimited]);
        assert_eq!(find(&[], Some(json!({"jwt": []}))), [unlimited]);
        let conditions = "--authentication-config anonymous.conditions";
        assert_eq!(find(&[], with(json!({"enabled": true}))), [format!("{conditions} not set")]);
        let version = with(
            json!({"enabled": true, "conditions": [{"path": "/livez"}, {"path": "/version"}]}),
        );
        assert_eq!(find(&[], version), [format!("{conditions} open for /version")]);
    }

    const WRITTEN: [(&str, &str); 1] = [("audit-log-path", "/log")];

    fn audited(rules: Value) -> Vec<String> {
        told(audit(&settings(&WRITTEN), Some(&json!({"rules": rules}))))
    }

    #[test]
    fn the_smallest_audit_log_is_right() {
        for right in [
            json!([{"level": "Metadata"}]),
            json!([
                {"level": "Metadata", "resources": [{"resources": ["secrets"]}]},
                {"level": "None", "users": ["system:apiserver"]},
                {"level": "None", "nonResourceURLs": ["/livez*"]},
                {"level": "None", "userGroups": ["system:nodes"], "resources": [{"group": "", "resources": ["nodes", "services"]}]},
                {"level": "None", "resources": [{"group": "coordination.k8s.io"}]},
                {"level": "RequestResponse"},
            ]),
        ] {
            assert_eq!(audited(right), [""; 0]);
        }
        let webhook = settings(&[("audit-webhook-config-file", "/hook")]);
        assert_eq!(audit(&webhook, Some(&json!({"rules": [{"level": "Metadata"}]}))), []);
    }

    #[test]
    fn whatever_is_not_written_down_is_found() {
        let whole = json!({"rules": [{"level": "Metadata"}]});
        assert_eq!(told(audit(&settings(&[]), Some(&whole))), ["--audit-log-path  not set"]);
        assert_eq!(told(audit(&settings(&WRITTEN), None)), ["--audit-policy-file  not set"]);
        let cut = settings(&[WRITTEN[0], ("audit-log-truncate-enabled", "true")]);
        assert_eq!(told(audit(&cut, Some(&whole))), ["--audit-log-truncate-enabled  true"]);
        let omits =
            json!({"omitStages": ["RequestReceived", "ResponseStarted"], "rules": whole["rules"]});
        assert_eq!(
            told(audit(&settings(&WRITTEN), Some(&omits))),
            ["Policy omitStages ResponseStarted"]
        );
    }

    #[test]
    fn a_rule_that_silences_an_attack_is_found() {
        for (rule, silenced) in [
            (
                json!({"level": "None", "userGroups": ["x"], "resources": [{"resources": ["pods"]}]}),
                "pods",
            ),
            (
                json!({"level": "None", "users": ["system:apiserver", "x"], "resources": [{"resources": ["secrets"]}]}),
                "secrets",
            ),
            (json!({"level": "None", "resources": [{"resources": ["*/exec"]}]}), "pods/exec"),
            (
                json!({"level": "None", "resources": [{"group": "rbac.authorization.k8s.io"}]}),
                "rolebindings, clusterrolebindings",
            ),
        ] {
            let found = audited(json!([rule, {"level": "Metadata"}]));
            assert_eq!(found, [format!("Policy rules[0] None for {silenced}")]);
        }
        assert_eq!(audited(json!([{"level": "None", "users": ["x"]}])).len(), 1);
    }

    #[test]
    fn the_bodies_of_secrets_are_found() {
        let secrets = json!({"level": "Metadata", "resources": [{"resources": ["secrets"]}]});
        let all = json!({"level": "Request"});
        let some = json!({"level": "Request", "verbs": ["create"], "resources": [{"resources": ["secrets"]}]});
        assert_eq!(audited(json!([secrets, some, all])), [""; 0]);
        assert_eq!(audited(json!([some, secrets])), ["Policy rules[0] Request for secrets"]);
        assert_eq!(audited(json!([all])), ["Policy rules[0] Request for secrets"]);
        let named =
            json!({"level": "Metadata", "users": ["x"], "resources": [{"resources": ["secrets"]}]});
        assert_eq!(audited(json!([named, all])), ["Policy rules[1] Request for secrets"]);
    }

    #[test]
    fn the_kubelet_asks_who_is_calling_and_whether_they_may() {
        let right = json!({
            "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}},
            "authorization": {"mode": "Webhook"},
        });
        assert_eq!(kubelet(&right), []);
        for (over, field) in [
            (
                json!({"authentication": {"anonymous": {"enabled": true}}}),
                "authentication.anonymous.enabled",
            ),
            (
                json!({"authentication": {"webhook": {"enabled": false}}}),
                "authentication.webhook.enabled",
            ),
            (json!({"authorization": {"mode": "AlwaysAllow"}}), "authorization.mode"),
            (json!({"readOnlyPort": 10255}), "readOnlyPort"),
        ] {
            let mut wrong = right.clone();
            crate::merge::lay_over(&mut wrong, &over);
            let fields: Vec<String> = kubelet(&wrong).into_iter().map(|flaw| flaw.field).collect();
            assert_eq!(fields, [field]);
        }
    }
}
