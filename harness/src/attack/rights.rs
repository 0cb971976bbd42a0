//! What may somebody do? The API server is asked, so that every authorizer of it answers: roles are only what one of
//! them reads. What is asked about is in `manifests/rights.yaml`; roles tell where else.

mod places;

use std::collections::{BTreeSet, HashSet};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};

use self::places::{EXTRAS, Expired, Places};
use super::grants::{Reach, Roles};
use super::{ActionError, Attempt, Observation, World};
use crate::cluster::pages;
use crate::model::{
    Answer, Breadth, Danger, Held, Holder, Holding, Promise, Right, Rights, ServiceAccount, User,
};

/// The namespaces that are asked about first.
const FIRST: [&str; 2] = ["kube-system", "kube-public"];

/// Asks about one right, or about all that are dangerous.
pub(super) async fn ask(
    attempt: &Attempt<'_>,
    rights: &Rights,
) -> Result<Observation, ActionError> {
    let world = attempt.world.of_one_server().await?;
    let attempt = &Attempt { world: &world, ..*attempt };
    let (held, asked) = match &rights.to {
        Some(right) => (one(attempt, &rights.of, right).await?, right.to_string()),
        None => (all(attempt, &rights.of).await?, "do what is dangerous".to_owned()),
    };
    let sent = attempt.sent_past("ASK", format!("whether {} may {asked}", rights.of));
    Ok(Observation::of(sent, Answer::Rights(held)))
}

/// Somebody whose rights are asked about.
struct Subject {
    /// As an authorizer sees them.
    user: User,
    /// What is their own.
    promise: Promise,
    /// The groups that they are asked about for. What everybody may do is not asked for each default account again.
    groups: Vec<String>,
    /// The one namespace that they are asked about in whatever their roles are; `None` is every one.
    home: Option<String>,
}

/// What the API server says to one question.
#[derive(Deserialize)]
struct Reviewed {
    status: Said,
}

/// What the authorizers said.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    allowed: bool,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    evaluation_error: String,
}

/// Asks about one right. Whether it is the holder's own does not count: that it is held is the question.
async fn one(attempt: &Attempt<'_>, of: &Holder, right: &Right) -> Result<Held, ActionError> {
    let mut held = Held::default();
    for subject in subjects(attempt.world, of, right.r#in.as_slice())? {
        let said = said(attempt, &subject.user, right).await?;
        let nothing = Promise::default();
        held.hear(&name(&subject.user), &nothing, right, Breadth::Cluster, said, None);
    }
    Ok(held)
}

/// Asks about everything that is dangerous.
async fn all(attempt: &Attempt<'_>, of: &Holder) -> Result<Held, ActionError> {
    let world = attempt.world;
    let admin = &world.access.admin;
    let (namespaces, roles) = tokio::try_join!(namespaces(world), Roles::read(admin))?;
    let expired = Expired::of(&roles, Timestamp::now());
    let subjects = subjects(world, of, &namespaces)?;
    let dangers = each(&world.rights.dangers);
    let about = |it| about(attempt, it, &dangers, &namespaces, &roles, &expired);
    let asking = subjects.iter().map(about);
    Ok(Held::together(try_join_all(asking).await?))
}

/// Those who are meant.
fn subjects(
    world: &World,
    of: &Holder,
    namespaces: &[String],
) -> Result<Vec<Subject>, ActionError> {
    let everywhere = |user: User, promise: &Promise| {
        let groups = user.groups.clone();
        vec![Subject { user, promise: promise.clone(), groups, home: None }]
    };
    Ok(match of {
        Holder::Persona(name) => {
            let known = world.rights.personas.get(name);
            let known = known.and_then(|(who, promise)| Some((who.decided_as()?, promise)));
            let unknown = || ActionError::Missing(format!("nobody knows the groups of {name}"));
            let (user, promise) = known.ok_or_else(unknown)?;
            everywhere(user, promise)
        }
        Holder::Groups(groups) => {
            let user = User { username: String::new(), groups: groups.clone() };
            everywhere(user, &Promise::default())
        }
        Holder::DefaultAccounts => namespaces.iter().map(|it| default_account(it)).collect(),
    })
}

fn default_account(namespace: &str) -> Subject {
    let account = ServiceAccount { namespace: namespace.to_owned(), name: "default".to_owned() };
    Subject {
        user: account.decided_as(),
        promise: Promise::default(),
        groups: vec![format!("system:serviceaccounts:{namespace}")],
        home: Some(namespace.to_owned()),
    }
}

/// The user's name, or the groups of nobody in particular.
fn name(user: &User) -> String {
    match user.username.is_empty() {
        true => user.groups.join(" and "),
        false => user.username.clone(),
    }
}

/// Every namespace, the cluster's own first.
async fn namespaces(world: &World) -> Result<Vec<String>, ActionError> {
    let all = Api::<Namespace>::all(world.access.admin.clone());
    let all = pages(ListParams::default(), async |page| all.list_metadata(page).await).await?;
    let mut names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
    names.sort_by_key(|name| FIRST.iter().position(|it| it == name).unwrap_or(FIRST.len()));
    Ok(names)
}

/// Asks about everything that is dangerous for one subject: in the whole cluster, then in single namespaces about what
/// is not held in all of them.
async fn about(
    attempt: &Attempt<'_>,
    subject: &Subject,
    dangers: &Dangers<'_>,
    namespaces: &[String],
    roles: &Roles,
    expired: &Expired,
) -> Result<Held, ActionError> {
    let places = Places::of(roles, &subject.user.username, &subject.groups);
    let dangers = &with_keys(dangers, &places);
    let mut held = Held::default();
    let mut everywhere = HashSet::new();
    let asked = questions(dangers, subject, &places, None, &everywhere);
    for (right, breadth, said) in answers(attempt, subject, asked).await? {
        if said.allowed && breadth != Breadth::Cluster {
            everywhere.insert(right.clone());
        }
        held.hear(&name(&subject.user), &subject.promise, &right, breadth, said, Some(expired));
    }
    let asked = namespaces
        .iter()
        .flat_map(|it| questions(dangers, subject, &places, Some(it), &everywhere));
    for (right, breadth, said) in answers(attempt, subject, asked.collect()).await? {
        held.hear(&name(&subject.user), &subject.promise, &right, breadth, said, Some(expired));
    }
    Ok(held)
}

/// Each right that is dangerous, with why.
type Dangers<'d> = Vec<(&'d Danger, Right)>;

fn each(dangers: &[Danger]) -> Dangers<'_> {
    let of = |danger| Danger::rights(danger).map(move |right| (danger, right));
    dangers.iter().flat_map(of).collect()
}

/// These dangers, with every key of `userextras` that the subject's roles may grant. Each key is a resource of its own
/// and no star stands for all of them; the one that is asked about in any case is an example.
fn with_keys<'d>(dangers: &Dangers<'d>, places: &Places<'_>) -> Dangers<'d> {
    let mut all = dangers.clone();
    for (danger, right) in dangers.iter().filter(|(_, it)| it.resource.starts_with(EXTRAS)) {
        let keys = places.keys().into_iter();
        let rights = keys.map(|key| Right { resource: format!("{EXTRAS}{key}"), ..right.clone() });
        let others = rights.filter(|it| it != right && !places.reach(None, it).is_empty());
        all.extend(others.map(|it| (*danger, it)));
    }
    all
}

/// What is asked about a subject in one namespace, or in the whole cluster: some of it in any case, and all that its
/// roles may grant. What is held `everywhere` is not asked again.
fn questions(
    dangers: &Dangers<'_>,
    subject: &Subject,
    places: &Places<'_>,
    namespace: Option<&str>,
    everywhere: &HashSet<Right>,
) -> Vec<(Right, Breadth)> {
    let mut asked = Vec::new();
    let mut known = HashSet::new();
    for (danger, right) in dangers {
        let mut is_asked = danger.is_first(right) && subject.is_asked(danger.asked, namespace);
        let is_elsewhere = danger.asked == Breadth::Cluster && namespace.is_some();
        let is_idle = !is_asked && !places.hold(namespace);
        if is_elsewhere || is_idle || everywhere.contains(right) {
            continue;
        }
        let mut names = BTreeSet::new();
        for reach in places.reach(namespace, right) {
            match reach {
                Reach::All => is_asked = true,
                Reach::Named(some) => names.extend(some),
            }
        }
        let named = names.into_iter().map(|name| Right { named: Some(name), ..right.clone() });
        for right in is_asked.then(|| right.clone()).into_iter().chain(named) {
            let right = namespace.map_or_else(|| right.clone(), |it| right.within(it));
            if known.insert(right.clone()) {
                asked.push((right, danger.asked));
            }
        }
    }
    asked
}

impl Subject {
    /// Whether something is asked about there whatever its roles are.
    fn is_asked(&self, breadth: Breadth, namespace: Option<&str>) -> bool {
        let is_everybody = self.home.is_none();
        match (namespace, breadth) {
            (_, Breadth::EachNamespace) => {
                is_everybody || namespace.is_none_or(|it| self.is_at_home(it))
            }
            (None, _) => is_everybody,
            (Some(namespace), Breadth::KubeSystem) => is_everybody && namespace == FIRST[0],
            (Some(_), Breadth::Cluster | Breadth::Namespaces) => false,
        }
    }

    fn is_at_home(&self, namespace: &str) -> bool {
        self.home.as_deref() == Some(namespace)
    }
}

/// The answers to questions, in their order.
async fn answers(
    attempt: &Attempt<'_>,
    subject: &Subject,
    asked: Vec<(Right, Breadth)>,
) -> Result<Vec<(Right, Breadth, Said)>, ActionError> {
    let asking = asked.into_iter().map(async |(right, breadth)| {
        let said = said(attempt, &subject.user, &right).await?;
        Ok((right, breadth, said))
    });
    try_join_all(asking).await
}

/// Asks one question. It is sent by the admin and is no attack, so that it carries no Audit-ID: thousands of events
/// would be kept that nobody looks at.
async fn said(attempt: &Attempt<'_>, user: &User, right: &Right) -> Result<Said, ActionError> {
    let missing = |error: String| ActionError::Missing(error);
    let access = &attempt.world.access;
    let permit = access.questions.acquire().await;
    let _permit = permit.map_err(|error| missing(error.to_string()))?;
    let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
        .header("User-Agent", attempt.user_agent)
        .header("Content-Type", "application/json")
        .body(review(user, right).to_string().into_bytes())
        .map_err(|error| missing(error.to_string()))?;
    Ok(access.admin.request::<Reviewed>(request).await?.status)
}

/// A SubjectAccessReview.
fn review(user: &User, right: &Right) -> Value {
    let mut spec = right.spec();
    spec["user"] = json!(user.username);
    spec["groups"] = json!(user.groups);
    json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
}

impl Held {
    /// Writes down what was said to a question.
    fn hear(
        &mut self,
        who: &str,
        promise: &Promise,
        right: &Right,
        breadth: Breadth,
        said: Said,
        expired: Option<&Expired>,
    ) {
        let Said { allowed, reason, evaluation_error } = said;
        // An authorizer that cannot be asked may be the one that would allow it.
        if !allowed && !evaluation_error.is_empty() {
            if !self.unanswered.contains(&evaluation_error) {
                self.unanswered.push(evaluation_error);
            }
            return;
        }
        self.answered += 1;
        if !allowed {
            return;
        }
        let expired = expired.and_then(|expired| expired.when(&reason));
        if promise.covers(right) && expired.is_none() {
            self.own += 1;
            return;
        }
        let place = match (&right.r#in, breadth) {
            (Some(namespace), _) => format!("in {namespace}"),
            (None, Breadth::Cluster) => "in the cluster".to_owned(),
            (None, _) => "in every namespace".to_owned(),
        };
        self.add(Holding {
            who: who.to_owned(),
            rights: vec![right.to_string()],
            place,
            reason,
            expired,
        });
    }

    /// Puts rights beside others that are held in the same place by the same word.
    fn add(&mut self, holding: Holding) {
        let key = |it: &Holding| {
            (it.who.clone(), it.place.clone(), it.reason.clone(), it.expired.clone())
        };
        match self.others.iter_mut().find(|it| key(it) == key(&holding)) {
            Some(there) => there.rights.extend(holding.rights),
            None => self.others.push(holding),
        }
    }

    /// What several hold.
    fn together(parts: Vec<Held>) -> Held {
        let mut all = Held::default();
        for held in parts {
            all.answered += held.answered;
            all.own += held.own;
            all.others.extend(held.others);
            for why in held.unanswered {
                if !all.unanswered.contains(&why) {
                    all.unanswered.push(why);
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::catalog::Catalog;

    fn danger(asked: &str, verb: &str, resource: &str) -> Danger {
        let danger = json!({
            "why": "", "source": "", "verbs": [verb], "resources": [resource], "asked": asked,
        });
        serde_json::from_value(danger).expect("a danger")
    }

    fn dangers() -> [Danger; 5] {
        [
            danger("each-namespace", "list", "secrets"),
            danger("namespaces", "get", "secrets"),
            danger("namespaces", "watch", "secrets"),
            danger("kube-system", "patch", "namespaces"),
            danger("cluster", "get", "nodes/proxy"),
        ]
    }

    fn somebody() -> Subject {
        let user =
            User { username: "ann".to_owned(), groups: vec!["system:authenticated".to_owned()] };
        Subject { groups: user.groups.clone(), user, promise: Promise::default(), home: None }
    }

    /// A binding of a role that is limited to one Secret.
    fn roles(namespace: Option<&str>, subject: &str) -> Roles {
        let binding = json!({
            "metadata": {"name": "binding", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "role"},
            "subjects": [{"kind": "User", "name": subject}],
        });
        let role = json!({"metadata": {"name": "role"}, "rules": [
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["own"], "verbs": ["list"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
        ]});
        let binding = match namespace {
            Some(_) => {
                let binding: k8s_openapi::api::rbac::v1::RoleBinding =
                    serde_json::from_value(binding).expect("a binding");
                binding.into()
            }
            None => {
                let binding: k8s_openapi::api::rbac::v1::ClusterRoleBinding =
                    serde_json::from_value(binding).expect("a binding");
                binding.into()
            }
        };
        Roles::with(vec![serde_json::from_value(role).expect("a role")], vec![binding])
    }

    /// What is asked there, each as it is told.
    fn asked(subject: &Subject, roles: &Roles, namespace: Option<&str>) -> Vec<String> {
        let places = Places::of(roles, &subject.user.username, &subject.groups);
        let asked = questions(&each(&dangers()), subject, &places, namespace, &HashSet::new());
        asked.into_iter().map(|(right, _)| right.to_string()).collect()
    }

    #[test]
    fn some_is_asked_in_any_case_and_all_that_roles_may_grant() {
        let roles = roles(Some("a"), "ann");
        let all =
            ["list secrets", "get secrets", "watch secrets", "patch namespaces", "get nodes/proxy"];
        assert_eq!(asked(&somebody(), &roles, None), all);
        assert_eq!(asked(&somebody(), &roles, Some("b")), ["list secrets"]);
        assert_eq!(
            asked(&somebody(), &roles, Some("kube-system")),
            ["list secrets", "patch namespaces"]
        );
        let granted = ["list secrets", "list secrets \"own\"", "get secrets"];
        assert_eq!(asked(&somebody(), &roles, Some("a")), granted);
    }

    #[test]
    fn every_key_that_roles_name_is_asked_about() {
        let granted = |resources: &[&str], verbs: &[&str]| {
            let role = json!({"metadata": {"name": "role"}, "rules": [{
                "apiGroups": ["authentication.k8s.io"], "resources": resources, "verbs": verbs,
            }]});
            let bindings = roles(None, "ann").bindings;
            let roles = Roles::with(vec![serde_json::from_value(role).expect("a role")], bindings);
            let catalog = Catalog::load(None).expect("our own catalog");
            let places = Places::of(&roles, "ann", &[]);
            let all = each(&catalog.dangers);
            let more = with_keys(&all, &places).split_off(all.len());
            more.into_iter().map(|(_, right)| right.to_string()).collect::<Vec<_>>()
        };
        let (plain, limited) = ("impersonate", "impersonate:user-info");
        let told =
            |verb: &str, key: &str| format!("{verb} userextras/{key} of authentication.k8s.io");
        let resources = ["userextras/acme.example/team", "*/tenant", "userextras/scopes", "uids"];
        let keys = ["acme.example/team", "tenant"];
        assert_eq!(granted(&resources, &[plain]), keys.map(|key| told(plain, key)));
        assert_eq!(granted(&resources, &[limited]), keys.map(|key| told(limited, key)));
        assert_eq!(granted(&["userextras/a"], &["*"]), [told(plain, "a"), told(limited, "a")]);
        assert_eq!(granted(&["userextras/*", "userextras/a"], &["get"]), [""; 0]);
        assert_eq!(granted(&["*"], &[plain]), [""; 0]);
    }

    /// Its groups are asked about by themselves, and there are as many default accounts as namespaces.
    #[test]
    fn a_default_account_is_asked_about_at_home_and_where_roles_may_grant_something() {
        let account = default_account("a");
        let nobody = roles(Some("b"), "ann");
        assert_eq!(asked(&account, &nobody, None), ["list secrets"]);
        assert_eq!(asked(&account, &nobody, Some("a")), ["list secrets"]);
        assert!(asked(&account, &nobody, Some("b")).is_empty());
        assert!(asked(&account, &nobody, Some("kube-system")).is_empty());
        let granted = ["list secrets \"own\"", "get secrets"];
        let named = roles(Some("b"), "system:serviceaccount:a:default");
        assert_eq!(asked(&account, &named, Some("b")), granted);
        let everywhere = roles(None, "system:serviceaccount:a:default");
        let all = ["list secrets", "list secrets \"own\"", "get secrets"];
        assert_eq!(asked(&account, &everywhere, None), all);
    }

    #[test]
    fn what_is_held_everywhere_is_not_asked_again() {
        let subject = somebody();
        let nothing = Roles::default();
        let places = Places::of(&nothing, "ann", &[]);
        let list = dangers()[0].rights().next().expect("a right");
        let there = Some("kube-system");
        let asked = questions(&each(&dangers()), &subject, &places, there, &HashSet::from([list]));
        let told: Vec<String> = asked.iter().map(|(right, _)| right.to_string()).collect();
        assert_eq!(told, ["patch namespaces"]);
        assert_eq!(asked[0].0.named.as_deref(), there, "a namespace has its own name");
    }

    /// `together` adds up what is asked of several: no question may be asked twice.
    #[test]
    fn no_question_is_asked_twice() {
        let catalog = Catalog::load(None).expect("our own catalog");
        let roles = roles(Some("kube-system"), "ann");
        let places = Places::of(&roles, "ann", &[]);
        let mut known = BTreeSet::new();
        for namespace in [None, Some("kube-system"), Some("a")] {
            let asked = questions(
                &each(&catalog.dangers),
                &somebody(),
                &places,
                namespace,
                &HashSet::new(),
            );
            for (right, _) in asked {
                assert!(known.insert(review(&somebody().user, &right).to_string()), "{right}");
            }
        }
    }

    #[test]
    fn a_question_says_what_a_request_would() {
        let user = User { username: "ann".to_owned(), groups: vec!["people".to_owned()] };
        let right = Right {
            verb: "list".to_owned(),
            resource: "pods/exec".to_owned(),
            named: Some("own".to_owned()),
            r#in: Some("a".to_owned()),
            labels: BTreeMap::from([("owner".to_owned(), "helm".to_owned())]),
            ..Right::default()
        };
        let requirement = |key: &str, value: &str| json!({"requirements": [{"key": key, "operator": "In", "values": [value]}]});
        let expected = json!({
            "user": "ann",
            "groups": ["people"],
            "resourceAttributes": {
                "verb": "list", "group": "", "version": "*", "resource": "pods", "subresource": "exec",
                "name": "own", "namespace": "a",
                "fieldSelector": requirement("metadata.name", "own"),
                "labelSelector": requirement("owner", "helm"),
            },
        });
        assert_eq!(review(&user, &right)["spec"], expected);
        let path =
            Right { verb: "get".to_owned(), url: Some("/logs/".to_owned()), ..Right::default() };
        let expected = json!({"verb": "get", "path": "/logs/"});
        assert_eq!(review(&user, &path)["spec"]["nonResourceAttributes"], expected);
    }

    fn heard(said: &[(bool, &str, &str)], promise: &Promise) -> Held {
        let mut held = Held::default();
        let rights = dangers().into_iter().flat_map(|it| it.rights().collect::<Vec<_>>());
        for ((allowed, reason, error), right) in said.iter().zip(rights) {
            let said = Said {
                allowed: *allowed,
                reason: (*reason).to_owned(),
                evaluation_error: (*error).to_owned(),
            };
            let right = right.within("a");
            held.hear("ann", promise, &right, Breadth::EachNamespace, said, None);
        }
        held
    }

    #[test]
    fn what_is_held_beside_the_promise_is_told_by_who_allows_it() {
        let said = [(true, "x", ""), (true, "y", ""), (false, "", ""), (true, "x", "")];
        let held = heard(&said, &Promise::default());
        let told: Vec<(&str, Vec<String>)> =
            held.others.iter().map(|it| (it.reason.as_str(), it.rights.clone())).collect();
        let x = vec!["list secrets".to_owned(), "patch namespaces".to_owned()];
        assert_eq!(told, [("x", x), ("y", vec!["get secrets".to_owned()])]);
        assert_eq!((held.answered, held.own), (4, 0));
        assert_eq!(held.others[0].place, "in a");
    }

    #[test]
    fn an_authorizer_that_cannot_answer_may_allow_it() {
        let said = [(false, "", "no route"), (false, "", "no route"), (true, "x", "no route")];
        let held = heard(&said, &Promise::default());
        assert_eq!(held.unanswered, ["no route"]);
        assert_eq!((held.answered, held.others.len()), (1, 1));
    }
}
