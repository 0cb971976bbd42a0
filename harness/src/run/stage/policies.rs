//! Whether the admission policies that were captured act. They cannot be asked, since nobody knows what they refuse:
//! the newest of each kind is, which is ours. What theirs say to that question must not take the place of what ours
//! does.

use http::Request;
use http::header::{CONTENT_TYPE, WARNING};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::newest::newest;
use super::{ACTING, ControlError, Stage, StageError};
use crate::catalog::{CAPTURED, Document};
use crate::cluster::{Settings, exchange};
use crate::merge::lay_over;
use crate::poll;
use crate::text::cut;

/// The version in which a policy is made, unless the cluster serves another one.
const VERSION: &str = "admissionregistration.k8s.io/v1";

/// The kinds of policies, each called as the plug-in that asks it.
const VALIDATING: &str = "ValidatingAdmissionPolicy";
const MUTATING: &str = "MutatingAdmissionPolicy";

/// What is asked about: a Lease that is never made. Whatever refused every Lease here would stop the controllers of
/// their cluster, which elect by them who of them works.
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases?dryRun=All";

/// The annotation that the newest mutating policy gives it.
const MUTATED: &str = "newest.brinell.dev/mutated";

/// What is told of the Lease.
struct Told {
    /// In warnings, which come with a refusal by somebody else as well (measured on 1.34 and 1.36).
    warned: String,
    /// In the answer: the Lease as it would be made, or why it would not be.
    answered: String,
}

impl Stage {
    /// Waits until the newest policies decide, of each kind of which some of theirs were taken, and so do all before
    /// them. Returns that they do not, which is for the scenarios to find.
    pub(super) async fn see_policies(
        &self,
        taken: &[&Document],
        settings: &Settings,
    ) -> Result<Option<ControlError>, StageError> {
        let is_on = |kind: &str| !is_off(settings, kind);
        let is_awaited =
            |kind: &str| is_on(kind) && taken.iter().any(|it| it.object["kind"] == *kind);
        let awaited: Vec<&str> =
            [VALIDATING, MUTATING].into_iter().filter(|kind| is_awaited(kind)).collect();
        if awaited.is_empty() {
            return Ok(None);
        }
        let name = self.next_id();
        let mut made = Vec::new();
        // It tells what the mutating one does as well, whoever refuses the Lease.
        made.extend(validating(&name).into_iter().filter(|_| is_on(VALIDATING)));
        made.extend(mutating(&name).into_iter().filter(|_| awaited.contains(&MUTATING)));
        for Document { object, .. } in &mut made {
            *object = self.applier.as_served(object);
        }
        self.applier.apply(&made).await?;
        let acting = poll::until(ACTING, async || {
            let told = self.told_of(&name).await?;
            let idle = awaited.iter().find(|kind| !told.shows(kind, &name));
            idle.map_or(Ok(()), |kind| {
                Err(format!("the newest {kind} does not act; {}", told.answered))
            })
        });
        let acting = acting.await;
        self.applier.delete(&made).await?;
        let late = |last: Option<String>| ControlError::NotActing {
            control: CAPTURED.to_owned(),
            waited: ACTING,
            last: cut(&last.unwrap_or_default(), 600),
        };
        Ok(acting.err().map(late))
    }

    async fn told_of(&self, name: &str) -> Result<Told, String> {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
        });
        let request = Request::post(LEASES).header(CONTENT_TYPE, "application/json");
        let request = request.body(lease.to_string().into_bytes());
        let request = request.map_err(|error| error.to_string())?;
        let response = exchange(&self.world.access.admin, request).await.map_err(|it| it.text)?;
        let warnings = response.headers().get_all(WARNING).iter();
        let warned = warnings.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
        let warned = warned.collect();
        let answered = response.into_body().collect().await.map_err(|error| error.to_string())?;
        let answered = String::from_utf8_lossy(&answered.to_bytes()).into_owned();
        Ok(Told { warned, answered })
    }
}

impl Told {
    /// Whether it shows that the newest policy of a kind acts, which is called so.
    fn shows(&self, kind: &str, name: &str) -> bool {
        match kind {
            VALIDATING => self.warned.contains(name),
            _ => self.warned.contains(MUTATED) || self.answered.contains(MUTATED),
        }
    }
}

/// Whether no policy of a kind decides with these settings.
fn is_off(settings: &Settings, plug_in: &str) -> bool {
    let has = |flag: &str, word: &str| {
        let list = settings.flags.get(flag);
        list.is_some_and(|list| list.split(',').any(|it| it.trim() == word))
    };
    has("disable-admission-plugins", plug_in) || has("feature-gates", &format!("{plug_in}=false"))
}

/// A policy with its binding that warns of a Lease of its own name and of nothing else, and tells whether it was
/// mutated.
fn validating(name: &str) -> [Document; 2] {
    let told = format!(
        "'{name}' + (object.metadata.?annotations['{MUTATED}'].hasValue() ? ' {MUTATED}' : '')"
    );
    let refused = json!({"expression": "false", "messageExpression": told});
    let spec = json!({"validations": [refused]});
    policy(VALIDATING, name, &spec, &json!({"validationActions": ["Warn"]}))
}

/// A policy with its binding that gives a Lease of its own name an annotation.
fn mutating(name: &str) -> [Document; 2] {
    let marked =
        format!("Object{{metadata: Object.metadata{{annotations: {{'{MUTATED}': '{name}'}}}}}}");
    let mutation =
        json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": marked}});
    let spec = json!({"reinvocationPolicy": "Never", "mutations": [mutation]});
    policy(MUTATING, name, &spec, &json!({}))
}

/// The newest policy of a kind, which is asked about its own Lease alone, and its binding.
fn policy(kind: &str, name: &str, spec: &Value, binding: &Value) -> [Document; 2] {
    let rule = json!({
        "apiGroups": ["coordination.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["leases"],
    });
    let own = json!({"name": "own", "expression": format!("object.metadata.name == '{name}'")});
    let mut policy =
        json!({"spec": {"matchConstraints": {"resourceRules": [rule]}, "matchConditions": [own]}});
    let mut bound = json!({"spec": {"policyName": name}});
    lay_over(&mut policy["spec"], spec);
    lay_over(&mut bound["spec"], binding);
    [newest(VERSION, kind, name, &policy), newest(VERSION, &format!("{kind}Binding"), name, &bound)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(warned: &str, answered: &str) -> Told {
        Told { warned: warned.to_owned(), answered: answered.to_owned() }
    }

    /// An answer has the Lease's name anyway, and so has a refusal of it.
    #[test]
    fn the_newest_policies_show_in_warnings_whoever_refuses() {
        let refused = told("299 - \"Validation failed: k7f3-1\"", "leases k7f3-1 is forbidden");
        assert!(refused.shows(VALIDATING, "k7f3-1") && !refused.shows(MUTATING, "k7f3-1"));
        let idle = told("299 - \"of somebody else's\"", "a Lease k7f3-1");
        assert!(!idle.shows(VALIDATING, "k7f3-1") && !idle.shows(MUTATING, "k7f3-1"));
        let marked = told(&format!("299 - \"k7f3-1 {MUTATED}\""), "is forbidden");
        assert!(marked.shows(VALIDATING, "k7f3-1") && marked.shows(MUTATING, "k7f3-1"));
        assert!(told("", &format!("annotations: {MUTATED}")).shows(MUTATING, "k7f3-1"));
    }

    #[test]
    fn policies_are_off_by_their_plug_in_or_their_gate() {
        let off = |flag: &str, value: &str| {
            let flags = [(flag.to_owned(), value.to_owned())].into();
            let settings = Settings { flags, ..Settings::default() };
            [VALIDATING, MUTATING].map(|kind| is_off(&settings, kind))
        };
        let plug_ins = "disable-admission-plugins";
        assert_eq!(off(plug_ins, "PodSecurity, ValidatingAdmissionPolicy"), [true, false]);
        assert_eq!(off(plug_ins, "MutatingAdmissionPolicy"), [false, true]);
        assert_eq!(off("feature-gates", "A=true,MutatingAdmissionPolicy=false"), [false, true]);
        assert_eq!(off("feature-gates", "MutatingAdmissionPolicy=true"), [false, false]);
    }

    #[test]
    fn the_newest_policies_are_asked_about_their_own_lease_alone() {
        for [policy, binding] in [validating("k7f3-1"), mutating("k7f3-1")] {
            let spec = &policy.object["spec"];
            let asked = &spec["matchConditions"][0]["expression"];
            assert_eq!(asked, "object.metadata.name == 'k7f3-1'");
            assert_eq!(
                spec["matchConstraints"]["resourceRules"][0]["resources"],
                json!(["leases"])
            );
            assert_eq!(binding.object["spec"]["policyName"], "k7f3-1");
            assert_ne!(binding.object["spec"]["validationActions"], json!(["Deny"]));
        }
    }
}
