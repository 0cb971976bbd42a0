//! What may somebody do? The API server is asked, so that every authorizer of it answers: roles are only what one of them
//! reads. What is asked about is in `manifests/rights.yaml`. In which namespaces all of it is asked, bindings tell.

mod places;

use std::collections::{BTreeMap, HashSet};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};

use self::places::{Expired, Places};
use super::grants::Roles;
use super::{ActionError, Attempt, Observation, World};
use crate::model::{
    Answer, Breadth, Effect, Held, Holder, Holding, Promise, Right, Rights, ServiceAccount, User,
};

/// The namespaces that are asked about first.
const FIRST: [&str; 2] = ["kube-system", "kube-public"];

/// Asks about one right, or about all that are dangerous.
pub(super) async fn ask(
    attempt: &Attempt<'_>,
    rights: &Rights,
) -> Result<Observation, ActionError> {
    let world = attempt.world;
    let (held, asked) = match &rights.to {
        Some(right) => (one(world, &rights.of, right).await?, right.to_string()),
        None => (all(world, &rights.of).await?, "do what is dangerous".to_owned()),
    };
    Ok(Observation {
        sent: attempt.sent_past("ASK", format!("whether {} may {asked}", rights.of)),
        answer: Answer::Rights(held),
        effect: Effect::NotApplicable,
        traced: None,
    })
}

/// Somebody whose rights are asked about.
struct Subject {
    /// As an authorizer sees them.
    user: User,
    /// What is their own.
    promise: Promise,
    /// The groups that they are asked about for. What everybody may do is not asked for each default account again.
    groups: Vec<String>,
    /// The one namespace that they are asked about in, beside those where a binding names them; `None` is every one.
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
async fn one(world: &World, of: &Holder, right: &Right) -> Result<Held, ActionError> {
    let mut held = Held::default();
    for subject in subjects(world, of, right.r#in.as_slice())? {
        let said = said(world, &subject.user, right).await?;
        let nothing = Promise::default();
        held.hear(&name(&subject.user), &nothing, right, Breadth::Cluster, said, None);
    }
    Ok(held)
}

/// Asks about everything that is dangerous.
async fn all(world: &World, of: &Holder) -> Result<Held, ActionError> {
    let admin = &world.access.admin;
    let (namespaces, roles) = tokio::try_join!(namespaces(world), Roles::read(admin))?;
    let expired = Expired::of(&roles, Timestamp::now());
    let subjects = subjects(world, of, &namespaces)?;
    let asking = subjects.iter().map(|it| about(world, it, &namespaces, &roles, &expired));
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
    let mut names: Vec<String> =
        all.list(&ListParams::default()).await?.items.iter().map(ResourceExt::name_any).collect();
    names.sort_by_key(|name| FIRST.iter().position(|it| it == name).unwrap_or(FIRST.len()));
    Ok(names)
}

/// Asks about everything that is dangerous for one subject: in the whole cluster, then in single namespaces about what is
/// not held in all of them.
async fn about(
    world: &World,
    subject: &Subject,
    namespaces: &[String],
    roles: &Roles,
    expired: &Expired,
) -> Result<Held, ActionError> {
    let places = Places::of(roles, &subject.user.username, &subject.groups);
    let mut held = Held::default();
    let mut everywhere = HashSet::new();
    let asked = questions(world, subject, &places, None, &everywhere);
    for (right, breadth, said) in answers(world, subject, asked).await? {
        if said.allowed && breadth != Breadth::Cluster {
            everywhere.insert(right.clone());
        }
        held.hear(&name(&subject.user), &subject.promise, &right, breadth, said, Some(expired));
    }
    let asked = namespaces
        .iter()
        .flat_map(|it| questions(world, subject, &places, Some(it), &everywhere));
    for (right, breadth, said) in answers(world, subject, asked.collect()).await? {
        held.hear(&name(&subject.user), &subject.promise, &right, breadth, said, Some(expired));
    }
    Ok(held)
}

/// What is asked about a subject in one namespace, or in the whole cluster. What is held `everywhere` is not asked again.
fn questions(
    world: &World,
    subject: &Subject,
    places: &Places<'_>,
    namespace: Option<&str>,
    everywhere: &HashSet<Right>,
) -> Vec<(Right, Breadth)> {
    let is_bound = places.has(namespace);
    let is_home = subject.home.as_deref().is_none_or(|home| namespace == Some(home));
    let is_asked = |breadth: Breadth| match (namespace, breadth) {
        (None, _) if subject.home.is_none() || is_bound => true,
        (None, breadth) => breadth == Breadth::EachNamespace,
        (Some(_), Breadth::Cluster) => false,
        (Some(it), Breadth::BoundNamespaces) => {
            is_bound || subject.home.is_none() && it == FIRST[0]
        }
        (Some(_), Breadth::EachNamespace) => is_bound || is_home,
    };
    let mut asked = Vec::new();
    for danger in world.rights.dangers.iter().filter(|it| is_asked(it.asked)) {
        for right in danger.rights().filter(|right| !everywhere.contains(right)) {
            let names = places.names(namespace, &right);
            let named = names.into_iter().map(|name| Right { named: Some(name), ..right.clone() });
            let rights = std::iter::once(right.clone()).chain(named);
            let here = rights.map(|it| namespace.map_or(it.clone(), |namespace| it.within(namespace)));
            asked.extend(here.map(|right| (right, danger.asked)));
        }
    }
    asked
}

/// The answers to questions, in their order.
async fn answers(
    world: &World,
    subject: &Subject,
    asked: Vec<(Right, Breadth)>,
) -> Result<Vec<(Right, Breadth, Said)>, ActionError> {
    let asking = asked.into_iter().map(async |(right, breadth)| {
        let said = said(world, &subject.user, &right).await?;
        Ok((right, breadth, said))
    });
    try_join_all(asking).await
}

/// Asks one question. It is sent by the admin and is no attack, so that it carries no Audit-ID.
async fn said(world: &World, user: &User, right: &Right) -> Result<Said, ActionError> {
    let missing = |error: String| ActionError::Missing(error);
    let permit = world.access.questions.acquire().await;
    let _permit = permit.map_err(|error| missing(error.to_string()))?;
    let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
        .header("Content-Type", "application/json")
        .body(review(user, right).to_string().into_bytes())
        .map_err(|error| missing(error.to_string()))?;
    Ok(world.access.admin.request::<Reviewed>(request).await?.status)
}

/// A SubjectAccessReview.
fn review(user: &User, right: &Right) -> Value {
    let mut spec = json!({"user": user.username, "groups": user.groups});
    match &right.url {
        Some(url) => spec["nonResourceAttributes"] = json!({"verb": right.verb, "path": url}),
        None => spec["resourceAttributes"] = attributes(right),
    }
    json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
}

/// A list or watch of one object is one with a field selector, of which the API server makes the name
/// (`pkg/endpoints/request/requestinfo.go`).
fn attributes(right: &Right) -> Value {
    let (resource, subresource) = right.resource_parts();
    let mut fields = right.fields.clone();
    if let (Some(name), "list" | "watch") = (&right.named, right.verb.as_str()) {
        fields.insert("metadata.name".to_owned(), name.clone());
    }
    let mut attributes = json!({
        "verb": right.verb,
        "group": right.group,
        "version": "*",
        "resource": resource,
        "subresource": subresource,
        "name": right.named,
        "namespace": right.r#in,
    });
    for (key, selector) in [("fieldSelector", &fields), ("labelSelector", &right.labels)] {
        if !selector.is_empty() {
            attributes[key] = json!({"requirements": requirements(selector)});
        }
    }
    attributes
}

fn requirements(selector: &BTreeMap<String, String>) -> Vec<Value> {
    let one = |(key, value)| json!({"key": key, "operator": "In", "values": [value]});
    selector.iter().map(one).collect()
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
