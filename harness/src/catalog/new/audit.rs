//! An audit policy. There is one in a cluster, so that it takes the place of ours, under its name; what our scenarios ask of
//! the log is then asked of it.

use serde_json::{Value, json};

use super::admission::list;
use super::sketch::{Act, Scene, Sketch, Weak, YOURS};
use super::yaml::{flow, text};
use super::{Kept, NewFile};
use crate::catalog::identity;
use crate::model::{AUDIT_POLICY, Reason};

/// A request as rules of an audit policy look at it.
struct Seen<'a> {
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
    path: &'a str,
}

/// What is tried: a shell's way in, and a Secret.
const EXEC: Seen<'static> = Seen { verb: "get", group: "", resource: "pods/exec", path: "" };
const SECRET: Seen<'static> = Seen { verb: "get", group: "", resource: "secrets", path: "" };
/// By which it is known that the log has all that came before.
const FENCE: Seen<'static> =
    Seen { verb: "get", group: "", resource: "", path: "/apis/brinell.dev/fence" };

/// Who is tried: an account of a persona.
const GROUPS: [&str; 3] =
    ["system:serviceaccounts", "system:serviceaccounts:brinell-personas", "system:authenticated"];

/// The control of an audit policy.
pub(super) fn audit(kept: &Kept, policy: &Value) -> Result<Sketch, String> {
    let (rules, its) = (list(&policy["rules"]), identity(policy));
    let levels = [EXEC, SECRET].map(|seen| level(&rules, &seen));
    let [Some(exec), Some(secret)] = levels else {
        let lost =
            if level(&rules, &EXEC).is_none() { "get of pods/exec" } else { "get of secrets" };
        return Err(format!(
            "the first rule that matches {lost} says None, or none does: what an attacker does first is in no log; add a rule \
             for it before the others"
        ));
    };
    let first = |value: Value| vec![json!({"op": "add", "path": "/rules/0", "value": value})];
    let exec_only = json!([{"group": "", "resources": ["pods/exec"]}]);
    let mut weakenings = vec![
        Weak::new("absent", "without a policy the API server writes no audit log at all")
            .with("api-server: {}")
            .expect("shell-on-record", Reason::Unlogged)
            .expect("secret-on-record", Reason::Unlogged),
        Weak::new("noise-first", "the first rule that matches decides, and one against noise that comes first silences attacks as well")
            .patch(&[(&its, first(json!({"level": "None", "userGroups": ["system:serviceaccounts"]})))])
            .expect("shell-on-record", Reason::Unlogged)
            .expect("secret-on-record", Reason::Unlogged),
        Weak::new("exec-create-only", "kubectl opens a shell by GET since it speaks WebSocket, and a rule for create keeps the fallback alone")
            .patch(&[(&its, first(json!({"level": "None", "verbs": ["get"], "resources": exec_only})))])
            .expect("shell-on-record", Reason::Unlogged),
    ];
    if exec != "Metadata" {
        weakenings.push(
            Weak::new("subresources-shortened", "the status and the log of pods were to be shortened, and the star shortens exec as well")
                .patch(&[(&its, first(json!({"level": "Metadata", "resources": [{"group": "", "resources": ["pods/*"]}]})))])
                .expect("shell-on-record", Reason::WronglyLogged),
        );
    }
    if secret != "RequestResponse" {
        weakenings.push(
            Weak::new(
                "bodies-of-secrets",
                "one rule for everything keeps bodies, and those of Secrets are credentials",
            )
            .patch(&[(&its, first(json!({"level": "RequestResponse"})))])
            .expect("secret-on-record", Reason::WronglyLogged),
        );
    }
    let mut set_up = vec![
        "api-server:".to_owned(),
        "  flags:".to_owned(),
        format!("    audit-policy-file: {}", text(&format!("/etc/brinell/{}", kept.file))),
        "    audit-log-path: /var/log/brinell/audit.log".to_owned(),
        "    audit-log-maxsize: \"100\"".to_owned(),
        "    audit-log-maxbackup: \"10\"  # A run must not lose its own beginning.".to_owned(),
        format!("  files: {}", flow(&json!([kept.file]))),
    ];
    if level(&rules, &FENCE).is_none() {
        let asked = "let a rule of level Metadata name the nonResourceURLs /apis/brinell.dev/*, by which the end of the log is known";
        set_up.insert(0, format!("{YOURS} {asked}"));
    }
    let replaces = format!(
        "# The audit policy of the cluster is yours.\nreplaces:\n  controls: [{AUDIT_POLICY}]\n"
    );
    Ok(Sketch {
        name: AUDIT_POLICY.to_owned(),
        title: "What attackers do leaves an audit event that shows what was asked".to_owned(),
        decides: json!(["audit-policy"]),
        look_at: "the API server's --audit-policy-file: the first rule that matches decides, and an exec by WebSocket is a get".to_owned(),
        set_up,
        ready: Vec::new(),
        weakenings,
        scenarios: vec![
            scene("shell-on-record", "A shell leaves what was asked", "operator", json!({"exec": {"command": ["probe", "echo", "foo"]}}), &exec, "production-app"),
            scene("secret-on-record", "A Secret that is read leaves who read it, and not what is in it", "developer", json!({"request": {"method": "GET", "path": "/api/v1/namespaces/vault/secrets/credentials"}}), &secret, "vault"),
        ],
        files: vec![
            NewFile { place: Sketch::beside(AUDIT_POLICY, &kept.file), text: kept.text.clone() },
            NewFile { place: "catalog.yaml".to_owned(), text: replaces },
        ],
    })
}

/// The level of the first rule that matches; `None` where nothing is kept
/// (<https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#audit-policy>).
fn level(rules: &[Value], seen: &Seen<'_>) -> Option<String> {
    let any = |list: &[Value], is_it: &dyn Fn(&str) -> bool| {
        list.is_empty() || list.iter().filter_map(Value::as_str).any(is_it)
    };
    let is_like = |pattern: &str, text: &str| {
        pattern == text || pattern.strip_suffix('*').is_some_and(|begin| text.starts_with(begin))
    };
    let names = |it: &Value| {
        let resources = list(&it["resources"]);
        let (name, below) = seen.resource.split_once('/').unwrap_or((seen.resource, ""));
        let parts = [format!("{name}/*"), format!("*/{below}")];
        it["group"].as_str().unwrap_or_default() == seen.group
            && any(&resources, &|it| {
                it == seen.resource
                    || it == "*"
                    || !below.is_empty() && parts.iter().any(|part| part == it)
            })
    };
    let matches = |rule: &&Value| {
        let (resources, urls) = (list(&rule["resources"]), list(&rule["nonResourceURLs"]));
        let meant = match seen.resource.is_empty() {
            true => resources.is_empty() && any(&urls, &|it| is_like(it, seen.path)),
            false => urls.is_empty() && (resources.is_empty() || resources.iter().any(names)),
        };
        meant
            && list(&rule["users"]).is_empty()
            && list(&rule["namespaces"]).is_empty()
            && any(&list(&rule["userGroups"]), &|it| GROUPS.contains(&it))
            && any(&list(&rule["verbs"]), &|it| it == seen.verb)
    };
    let level = rules.iter().find(matches)?["level"].as_str()?;
    (level != "None").then(|| level.to_owned())
}

fn scene(id: &str, title: &str, who: &str, what: Value, level: &str, target: &str) -> Scene {
    let reading = json!({"request": {"method": "GET", "path": "/api"}});
    Scene {
        id: id.to_owned(),
        title: title.to_owned(),
        why: "What is in no log was never done, as far as anybody can tell afterwards.".to_owned(),
        fix: "Let the first rule that matches keep it, and name no verbs.".to_owned(),
        target: target.to_owned(),
        attacks: vec![
            Act::new("it is done", who, what, ("recorded", json!({"level": level})))
                .asking(Some("the level is what your policy says now; is it what you want?")),
        ],
        permits: vec![Act::new("what nobody need look at", who, reading, ("succeeds", json!({})))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rules = |written: Value| list(&written);
        let kept = |written: Value, seen: &Seen<'_>| level(&rules(written), seen);
        let pods = json!([{"group": "", "resources": ["pods"]}]);
        let all = json!({"level": "Metadata"});
        assert_eq!(
            kept(json!([{"level": "Request", "resources": pods}, all]), &EXEC).as_deref(),
            Some("Metadata")
        );
        let below = json!([{"group": "", "resources": ["pods/*"]}]);
        assert_eq!(
            kept(json!([{"level": "Request", "resources": below}, all]), &EXEC).as_deref(),
            Some("Request")
        );
        let noise = json!({"level": "None", "userGroups": ["system:serviceaccounts"]});
        assert_eq!(kept(json!([noise, all]), &EXEC), None);
        assert_eq!(
            kept(json!([{"level": "None", "users": ["jane"]}, all]), &SECRET).as_deref(),
            Some("Metadata")
        );
        assert_eq!(kept(json!([{"level": "Request", "verbs": ["create"]}]), &EXEC), None);
        assert_eq!(
            kept(json!([{"level": "None", "nonResourceURLs": ["/apis/*"]}, all]), &FENCE),
            None
        );
        assert_eq!(kept(json!([all]), &FENCE).as_deref(), Some("Metadata"));
    }
}
