//! How the API server and the kubelet are set.

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::core::v1::Node;
use serde_json::Value;

use super::{all_read, file, flaw, names, texts};
use crate::attack::{ActionError, World};
use crate::cluster::{Access, ServerSettings, all};
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
        SettingReview::Kubelet(_) => return kubelets(&world.access).await,
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
        let is_off = switch(settings, "anonymous-auth") == Some(false);
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

/// What holds a credential, and by which verbs: in the body that is sent, and in the answer. The response of a watch is
/// a stream, of which no body is kept; what a collection's deletion took away is in its answer
/// (`k8s.io/apiserver/pkg/endpoints/handlers`, 1.34 to 1.37).
struct Credential {
    group: &'static str,
    resource: &'static str,
    sent: &'static [&'static str],
    answered: &'static [&'static str],
    whose: &'static str,
}

const CREDENTIALS: [Credential; 3] = [
    Credential {
        group: "",
        resource: "secrets",
        sent: &["create", "update", "patch"],
        answered: &["create", "update", "patch", "get", "list", "delete", "deletecollection"],
        whose: "every Secret that anybody has touched",
    },
    Credential {
        group: "",
        resource: "serviceaccounts/token",
        sent: &[],
        answered: &["create"],
        whose: "the token of every pod, and may do what the pod may until it expires",
    },
    Credential {
        group: "authentication.k8s.io",
        resource: "tokenreviews",
        sent: &["create"],
        answered: &["create"],
        whose: "every token that anybody had looked at",
    },
];

/// Stages without which an attack leaves nothing, or not what became of it.
const KEPT: [(&str, &str); 2] = [
    (
        "ResponseStarted",
        "a shell that stays open leaves no event for as long as it is, and a call without credentials none",
    ),
    (
        "ResponseComplete",
        "what is asked is written down at most as it comes: nobody sees who was let in, and to what",
    ),
];

/// What the audit log keeps (<https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/>).
fn audit(settings: &ServerSettings, policy: Option<&Value>) -> Vec<Flaw> {
    let unseen = "nothing that anybody does is written down: try whatever comes to mind";
    let mut found = Vec::new();
    let is_set = |flag: &&str| settings.flags.get(*flag).is_some_and(|value| !value.is_empty());
    if !["audit-log-path", "audit-webhook-config-file"].iter().any(is_set) {
        found.push(flaw("--audit-log-path", "", "not set", unseen));
    }
    for flag in ["audit-log-truncate-enabled", "audit-webhook-truncate-enabled"] {
        if switch(settings, flag) == Some(true) {
            let follows = "send a large request, and what it held is cut out of its event";
            found.push(flaw(&format!("--{flag}"), "", "true", follows));
        }
    }
    let Some(policy) = policy else {
        found.push(flaw(&format!("--{AUDIT_POLICY}"), "", "not set", unseen));
        return found;
    };
    let rules: Vec<&Value> = policy["rules"].as_array().into_iter().flatten().collect();
    found.extend(omitted(policy, "omitStages"));
    for (position, rule) in rules.iter().enumerate().filter(|(_, rule)| !is_by_itself(rule)) {
        found.extend(silent(rule, position));
        if !silenced(rule).is_empty() && rule["level"] != "None" {
            found.extend(omitted(rule, &format!("rules[{position}].omitStages")));
        }
    }
    found.extend(untold(&rules));
    found.extend(CREDENTIALS.iter().filter_map(|credential| bodies(&rules, credential)));
    found
}

/// A flag that is on or off, as the API server reads it (Go's `strconv.ParseBool`); `None` where it is not set.
fn switch(settings: &ServerSettings, flag: &str) -> Option<bool> {
    match settings.flags.get(flag)?.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Stages that a policy or one of its rules leaves out. What both say is added up
/// (`k8s.io/apiserver/pkg/audit/policy`).
fn omitted(of: &Value, field: &str) -> Vec<Flaw> {
    let is_omitted = |stage: &str| texts(&of["omitStages"]).any(|omitted| omitted == stage);
    let missing = KEPT.iter().filter(|(stage, _)| is_omitted(stage));
    missing.map(|(stage, follows)| flaw("Policy", field, *stage, *follows)).collect()
}

/// Whether a rule is about the API server's own name alone.
fn is_by_itself(rule: &Value) -> bool {
    texts(&rule["users"]).count() > 0
        && texts(&rule["users"]).all(|user| user == ITSELF)
        && texts(&rule["userGroups"]).count() == 0
}

/// Of what no rule may be silent, what a rule is about.
fn silenced(rule: &Value) -> Vec<&'static str> {
    let concerned = TOLD.iter().filter(|(group, resource)| concerns(rule, group, resource));
    concerned.map(|(_, resource)| *resource).collect()
}

/// A rule by which an attack leaves nothing.
fn silent(rule: &Value, position: usize) -> Option<Flaw> {
    let silenced = silenced(rule);
    let is_silent = rule["level"] == "None" && !silenced.is_empty();
    let field = format!("rules[{position}]");
    let is = format!("None for {}", super::names(&silenced));
    let follows = "whoever this rule names, or can be, leaves nothing in the log";
    is_silent.then(|| flaw("Policy", &field, is, follows))
}

/// What no rule is about, or none for everybody and everything that is asked: what no rule matches is not written down
/// (`DefaultAuditLevel` in `k8s.io/apiserver/pkg/audit/policy/checker.go`).
fn untold(rules: &[&Value]) -> Option<Flaw> {
    let without = |is_limited: fn(&Value) -> bool| -> Vec<&str> {
        let is_told = |group: &str, resource: &str| {
            rules.iter().any(|rule| whole(rule, group, resource) && !is_limited(rule))
        };
        let untold = TOLD.iter().filter(|(group, resource)| !is_told(group, resource));
        untold.map(|(_, resource)| *resource).collect()
    };
    let untold = without(is_limited);
    let is = format!("without one for every request about {}", super::names(&untold));
    let follows = match without(is_narrow).is_empty() {
        true => {
            "who is refused for their credentials is in no group: try stolen and guessed ones, and nobody sees it"
        }
        false => "what no rule matches is not written down: ask in a way that none of them names",
    };
    (!untold.is_empty()).then(|| flaw("Policy", "rules", is, follows))
}

/// Whether a rule is for some of those who ask, or for some of what they ask. A call that is refused for its
/// credentials has no user, and no rule about groups matches it (`ruleMatches` in
/// `k8s.io/apiserver/pkg/audit/policy/checker.go`, 1.34 to 1.37).
fn is_limited(rule: &Value) -> bool {
    is_narrow(rule) || texts(&rule["userGroups"]).count() > 0
}

/// Whether a rule leaves out some of what is asked, or somebody who was authenticated or is anonymous. Everybody who
/// comes in is in one of these two groups: a rule for both leaves out only a call that is refused for its credentials.
fn is_narrow(rule: &Value) -> bool {
    let names = |group: &str| texts(&rule["userGroups"]).any(|named| named == group);
    let is_for_all = names("system:authenticated") && names("system:unauthenticated");
    let some = if is_for_all { None } else { Some("userGroups") };
    let mut keys = ["users", "verbs", "namespaces"].into_iter().chain(some);
    keys.any(|key| texts(&rule[key]).count() > 0)
}

/// A rule by which a credential is in the log. What comes after a rule about all of its kind decides nothing.
fn bodies(rules: &[&Value], credential: &Credential) -> Option<Flaw> {
    let Credential { group, resource, sent, answered, whose } = credential;
    let holds = |rule: &Value| {
        let verbs = match rule["level"].as_str() {
            Some("Request") => *sent,
            Some("RequestResponse") => *answered,
            _ => &[],
        };
        let mut named = texts(&rule["verbs"]).peekable();
        !verbs.is_empty() && (named.peek().is_none() || named.any(|verb| verbs.contains(&verb)))
    };
    // Of a call that is refused for its credentials no body is kept.
    let decides_all = |rule: &Value| whole(rule, group, resource) && !is_narrow(rule);
    let last = rules.iter().position(|rule| decides_all(rule)).unwrap_or(usize::MAX);
    let mut deciding = rules.iter().enumerate().take(last.saturating_add(1));
    let (position, rule) =
        deciding.find(|(_, rule)| concerns(rule, group, resource) && holds(rule))?;
    let is = format!("{} for {resource}", rule["level"].as_str().unwrap_or_default());
    let follows = format!("whoever reads the log, or what it is sent to, reads {whose}");
    Some(flaw("Policy", &format!("rules[{position}]"), is, follows))
}

/// Whether a rule of an audit policy is about a resource, for whomever and whatever its name.
fn concerns(rule: &Value, group: &str, resource: &str) -> bool {
    is_about(rule, group, resource, |_| true)
}

/// Whether it is about a resource whatever its name.
fn whole(rule: &Value, group: &str, resource: &str) -> bool {
    is_about(rule, group, resource, |it| texts(&it["resourceNames"]).count() == 0)
}

/// Whether one of a rule's resources that count is this one. Without resources and paths a rule is about all; a group
/// without resources is about all of the group's. `*` is every group from Kubernetes 1.36 on, and no group before,
/// where the API server does not start with it (`k8s.io/apiserver/pkg/apis/audit/validation`).
fn is_about(rule: &Value, group: &str, resource: &str, counts: impl Fn(&Value) -> bool) -> bool {
    let Some(groups) = rule["resources"].as_array().filter(|groups| !groups.is_empty()) else {
        return texts(&rule["nonResourceURLs"]).count() == 0;
    };
    // Here `*` is every resource and subresource (the same documentation).
    let (parent, sub) = resource.split_once('/').unwrap_or((resource, ""));
    let fits = |pattern: &str| {
        pattern == "*"
            || pattern == resource
            || pattern.strip_suffix("/*") == Some(parent)
            || !sub.is_empty() && pattern.strip_prefix("*/") == Some(sub)
    };
    groups.iter().filter(|it| counts(it)).any(|it| {
        let of = it["group"].as_str().unwrap_or_default();
        let is_of_group = of == group || of == "*";
        is_of_group && (texts(&it["resources"]).count() == 0 || texts(&it["resources"]).any(fits))
    })
}

/// How many kubelets are asked at a time. Each has a minute, as long as every request.
const AT_A_TIME: usize = 16;

/// The kubelets of all nodes: each has settings of its own.
async fn kubelets(access: &Access) -> Result<Reviewed, ActionError> {
    let nodes: Vec<Node> = all(&access.admin).await?;
    let named = nodes.into_iter().filter_map(|node| node.metadata.name);
    let asking = stream::iter(named).map(|node| async move {
        let configuration = access.kubelet_configuration_of(&node).await;
        (node, configuration)
    });
    let told: Vec<_> = asking.buffered(AT_A_TIME).collect().await;
    let mut reviewed = Reviewed::default();
    let mut silent = Vec::new();
    for (node, configuration) in &told {
        match configuration {
            Ok(configuration) => {
                reviewed.objects += 1;
                reviewed.flaws.extend(kubelet(node, configuration));
            }
            Err(error) => silent.push((node.as_str(), error)),
        }
    }
    if let Some((_, error)) = silent.first() {
        let nodes: Vec<&str> = silent.iter().map(|(node, _)| *node).collect();
        reviewed.unread.push(format!("the kubelets of {}: {error}", names(&nodes)));
    }
    Ok(reviewed)
}

/// Whom the kubelet answers (<https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/>).
fn kubelet(node: &str, configuration: &Value) -> Vec<Flaw> {
    let mut found = Vec::new();
    let object = format!("KubeletConfiguration of {node}");
    let mut tell = |field: &str, is: &Value, follows: &str| {
        found.push(flaw(&object, field, is.to_string(), follows));
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
    use std::convert::Infallible;

    use kube::client::Body;
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
        assert_eq!(find(&[("anonymous-auth", "F")], None), [""; 0]);
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
                {"level": "Metadata", "resources": [
                    {"resources": ["secrets", "serviceaccounts/token"]},
                    {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
                ]},
                {"level": "None", "users": ["system:apiserver"], "omitStages": ["ResponseComplete"]},
                {"level": "None", "nonResourceURLs": ["/livez*"]},
                {"level": "None", "userGroups": ["system:nodes"], "resources": [{"group": "", "resources": ["nodes", "services"]}]},
                {"level": "None", "resources": [{"group": "coordination.k8s.io"}]},
                {"level": "RequestResponse"},
            ]),
            json!([{"level": "Metadata", "resources": [{"group": "*"}], "omitStages": ["RequestReceived"]}]),
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
        let nowhere = settings(&[("audit-log-path", "")]);
        assert_eq!(told(audit(&nowhere, Some(&whole))), ["--audit-log-path  not set"]);
        for on in ["1", "t", "T", "true", "TRUE", "True"] {
            let cut = settings(&[WRITTEN[0], ("audit-log-truncate-enabled", on)]);
            assert_eq!(told(audit(&cut, Some(&whole))), ["--audit-log-truncate-enabled  true"]);
        }
        let uncut = settings(&[WRITTEN[0], ("audit-log-truncate-enabled", "False")]);
        assert_eq!(told(audit(&uncut, Some(&whole))), [""; 0]);
        for stage in ["ResponseStarted", "ResponseComplete"] {
            let omits = json!({"omitStages": ["RequestReceived", stage], "rules": whole["rules"]});
            let found = told(audit(&settings(&WRITTEN), Some(&omits)));
            assert_eq!(found, [format!("Policy omitStages {stage}")]);
            let rule = json!([{"level": "Metadata", "omitStages": ["RequestReceived", stage]}]);
            assert_eq!(audited(rule), [format!("Policy rules[0].omitStages {stage}")]);
        }
        let noise = json!({"level": "Metadata", "omitStages": ["ResponseStarted"], "resources": [{"resources": ["events"]}]});
        assert_eq!(audited(json!([noise, {"level": "Metadata"}])), [""; 0]);
    }

    #[test]
    fn what_no_rule_matches_is_found() {
        let secrets = json!({"level": "Metadata", "resources": [{"resources": ["secrets"]}]});
        let rest = json!({"level": "Metadata", "resources": [
            {"resources": ["pods", "pods/*", "nodes/*", "serviceaccounts/token"]},
            {"group": "rbac.authorization.k8s.io"},
            {"group": "admissionregistration.k8s.io"},
        ]});
        let missing =
            |what: &str| format!("Policy rules without one for every request about {what}");
        assert_eq!(audited(json!([secrets, rest])), [""; 0]);
        assert_eq!(audited(json!([rest])), [missing("secrets")]);
        for (key, limit) in [
            ("users", "x"),
            ("userGroups", "system:authenticated"),
            ("verbs", "create"),
            ("namespaces", "a"),
        ] {
            let mut limited = secrets.clone();
            limited[key] = json!([limit]);
            assert_eq!(audited(json!([limited, rest])), [missing("secrets")], "{key}");
        }
        let named = json!({"level": "Metadata", "resources": [{"resources": ["secrets"], "resourceNames": ["x"]}]});
        assert_eq!(audited(json!([named, rest])), [missing("secrets")]);
        assert_eq!(audited(json!([secrets])).len(), 1);
        assert_eq!(audited(json!([])).len(), 1);
    }

    /// A rule for both groups of everybody matches no call that is refused for its credentials.
    #[test]
    fn what_is_told_of_a_rule_about_groups_is_whom_it_leaves_out() {
        for (limit, follows) in [
            (
                json!({"userGroups": ["system:authenticated", "system:unauthenticated"]}),
                "who is refused",
            ),
            (json!({"userGroups": ["system:authenticated"]}), "what no rule matches"),
            (
                json!({"verbs": ["get"], "userGroups": ["system:authenticated", "system:unauthenticated"]}),
                "what no rule matches",
            ),
        ] {
            let mut rule = limit.clone();
            rule["level"] = json!("Metadata");
            let flaws = audit(&settings(&WRITTEN), Some(&json!({"rules": [rule]})));
            let told: Vec<&str> = flaws.iter().map(|flaw| flaw.follows.as_str()).collect();
            assert!(matches!(&told[..], [told] if told.starts_with(follows)), "{limit}: {told:?}");
        }
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
            (
                json!({"level": "None", "resources": [{"group": "*", "resources": ["secrets"]}]}),
                "secrets",
            ),
            (
                json!({"level": "None", "resources": [{"resources": ["pods"], "resourceNames": ["x"]}]}),
                "pods",
            ),
        ] {
            let found = audited(json!([rule, {"level": "Metadata"}]));
            assert_eq!(found, [format!("Policy rules[0] None for {silenced}")]);
        }
        assert_eq!(
            audited(json!([{"level": "None", "users": ["x"]}, {"level": "Metadata"}])).len(),
            1
        );
    }

    #[test]
    fn the_bodies_of_secrets_are_found() {
        let guarded = json!({"level": "Metadata", "resources": [
            {"resources": ["secrets", "serviceaccounts/token"]},
            {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
        ]});
        let secrets = |level: &str, verbs: &[&str]| json!({"level": level, "verbs": verbs, "resources": [{"resources": ["secrets"]}]});
        let all = json!({"level": "RequestResponse"});
        let created = secrets("Request", &["create"]);
        let found = |level: &str, of: &str| format!("Policy rules[0] {level} for {of}");
        assert_eq!(audited(json!([guarded, created, all])), [""; 0]);
        for (level, verbs, is_found) in [
            ("Request", &["create"][..], true),
            ("Request", &["update"], true),
            ("Request", &["get", "list", "delete"], false),
            ("RequestResponse", &["get"], true),
            ("RequestResponse", &["deletecollection"], true),
            ("RequestResponse", &["watch"], false),
        ] {
            let expected = if is_found { vec![found(level, "secrets")] } else { Vec::new() };
            assert_eq!(
                audited(json!([secrets(level, verbs), guarded, all])),
                expected,
                "{level} {verbs:?}"
            );
        }
        for (groups, is_found) in [
            (json!(["system:authenticated", "system:unauthenticated"]), false),
            (json!(["system:authenticated"]), true),
        ] {
            let mut of_groups = guarded.clone();
            of_groups["userGroups"] = groups;
            assert_eq!(audited(json!([of_groups, all])).is_empty(), !is_found, "{of_groups}");
        }
        let named =
            json!({"level": "Metadata", "users": ["x"], "resources": [{"resources": ["secrets"]}]});
        let told = |of: &str| format!("Policy rules[1] RequestResponse for {of}");
        let every = ["secrets", "serviceaccounts/token", "tokenreviews"];
        assert_eq!(audited(json!([named, all])), every.map(told));
        let one = json!({"level": "Metadata", "resources": [{"resources": ["secrets"], "resourceNames": ["x"]}]});
        assert_eq!(audited(json!([one, all])), every.map(told));
    }

    #[test]
    fn the_bodies_of_tokens_are_found() {
        let metadata = |resource: &str, group: &str| json!({"level": "Metadata", "resources": [{"group": group, "resources": [resource]}]});
        let secrets = metadata("secrets", "");
        let (tokens, reviews) = (
            metadata("serviceaccounts/token", ""),
            metadata("tokenreviews", "authentication.k8s.io"),
        );
        let with = |level: &str, rules: &[&Value]| {
            let rest = json!({"level": level});
            audited(json!([rules, &[&rest]].concat()))
        };
        let answered = ["Policy rules[2] RequestResponse for serviceaccounts/token"];
        assert_eq!(with("RequestResponse", &[&secrets, &reviews]), answered);
        let asked = ["Policy rules[2] RequestResponse for tokenreviews"];
        assert_eq!(with("RequestResponse", &[&secrets, &tokens]), asked);
        // What is sent for a token holds none.
        assert_eq!(with("Request", &[&secrets, &reviews]), [""; 0]);
        assert_eq!(with("Request", &[&secrets]), ["Policy rules[1] Request for tokenreviews"]);
    }

    #[test]
    fn the_kubelet_asks_who_is_calling_and_whether_they_may() {
        let right = json!({
            "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}},
            "authorization": {"mode": "Webhook"},
        });
        assert_eq!(kubelet("a", &right), []);
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
            let fields: Vec<String> =
                kubelet("a", &wrong).into_iter().map(|flaw| flaw.field).collect();
            assert_eq!(fields, [field]);
        }
    }

    /// What a cluster answers of these nodes; a kubelet without a configuration does not answer.
    fn access(kubelets: BTreeMap<&'static str, Option<Value>>) -> Access {
        let answer = tower::service_fn(move |request: http::Request<Body>| {
            let path = request.uri().path().to_owned();
            let asked = path.strip_prefix("/api/v1/nodes/");
            let asked = asked.and_then(|rest| rest.strip_suffix("/proxy/configz"));
            let nodes = kubelets.keys().map(|name| json!({"metadata": {"name": name}}));
            let (code, answer) = match asked.map(|node| kubelets[node].clone()) {
                Some(Some(configuration)) => (200, json!({"kubeletconfig": configuration})),
                Some(None) => (502, json!({"kind": "Status", "code": 502, "message": "no answer"})),
                None => {
                    let items: Vec<Value> = nodes.collect();
                    let kind = "NodeList";
                    (200, json!({"apiVersion": "v1", "kind": kind, "metadata": {}, "items": items}))
                }
            };
            let body = Body::from(answer.to_string().into_bytes());
            let answer = http::Response::builder().status(code).body(body);
            std::future::ready(Ok::<_, Infallible>(answer.expect("an answer")))
        });
        Access::of(kube::Client::new(answer, "default"))
    }

    #[tokio::test]
    async fn every_kubelet_is_read_and_one_that_does_not_answer_is_named() {
        let right = json!({
            "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}},
            "authorization": {"mode": "Webhook"},
        });
        let mut open = right.clone();
        open["readOnlyPort"] = json!(10255);
        let both = access(BTreeMap::from([("a", Some(right.clone())), ("b", Some(open))]));
        let reviewed = kubelets(&both).await.expect("read");
        assert_eq!((reviewed.objects, reviewed.unread.len()), (2, 0));
        assert_eq!(told(reviewed.flaws), ["KubeletConfiguration of b readOnlyPort 10255"]);
        let silent = access(BTreeMap::from([("a", Some(right)), ("b", None), ("c", None)]));
        let reviewed = kubelets(&silent).await.expect("read");
        assert_eq!((reviewed.objects, reviewed.flaws.len()), (1, 0));
        assert!(reviewed.unread[0].starts_with("the kubelets of b, c: "), "{:?}", reviewed.unread);
    }
}
