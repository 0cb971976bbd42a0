//! Names in a refusal without quotation marks. The sender of the request chooses them, so they are no part of the
//! reason.

use std::ops::Range;

use crate::judge::attribution::quoted;
use crate::model::{ApiPath, Denial, Layer, Sent, query_values};

/// What stands before a name out of the request's body where a built-in plug-in or a quota does not quote it, read in
/// the source of Kubernetes (plugin/pkg/admission, k8s.io/apiserver/pkg/admission/plugin/resourcequota). The keys of
/// labels that NodeRestriction lists are what is asked for, and a quota's name is the admin's.
const BEFORE_A_NAME: [&str; 10] = [
    // resourcequota: `must specify limits.memory for: one,two; limits.cpu for: two`
    " for: ",
    // serviceaccount
    "container ",
    "envVar ",
    "service account ",
    // eventratelimit
    "for key ",
    // priority
    "PriorityClass with name ",
    // antiaffinity
    "TopologyKey ",
    // gc
    "APIVersion ",
    "Kind ",
    // runtimeclass: `conflict: runtimeClass.scheduling.nodeSelector[a] = b; pod.spec.nodeSelector[a] = c`
    "] = ",
];

/// Whether a reason holds these words, and not only as a name or a part of one.
///
/// Known names are those in the request's path and query, the user's, the object as the refusal names it, and what
/// [`BEFORE_A_NAME`] tells. Of the body nothing is kept, so that a name in it which a webhook or a policy repeats
/// without quotation marks is taken for its author's own word.
pub(super) fn is_said(reason: &str, words: &str, denial: &Denial, sent: &Sent) -> bool {
    let (reason, words) = (&*unfolded(reason), &*unfolded(words));
    let names = places(reason, denial, sent);
    let within = |place: Range<usize>| {
        names.iter().any(|name| name.start <= place.start && place.end <= name.end)
    };
    let mut found = reason.char_indices().filter(|(at, _)| reason[*at..].starts_with(words));
    found.any(|(at, _)| !within(at..at + words.len()))
}

/// A text in one line: who refuses may break it wherever there is a space, as YAML does.
fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where names stand in a reason.
fn places(reason: &str, denial: &Denial, sent: &Sent) -> Vec<Range<usize>> {
    let chosen = requested(sent).into_iter().chain(object(&denial.message));
    let mut places = Vec::new();
    for name in chosen.map(|name| unfolded(&name)).filter(|name| !name.is_empty()) {
        places.extend(by_itself(reason, &name));
    }
    if matches!(denial.layer, Layer::Quota | Layer::AdmissionPlugin(_)) {
        places.extend(BEFORE_A_NAME.iter().flat_map(|mark| behind(reason, mark)));
    }
    places
}

/// The names that the request itself shows.
fn requested(sent: &Sent) -> Vec<String> {
    let path = ApiPath::parse(&sent.uri).unwrap_or_default();
    let mut names = vec![path.namespace, path.name];
    for parameter in ["container", "command"] {
        names.extend(query_values(&sent.uri, parameter));
    }
    for user in sent.user.iter().chain(sent.impersonated.iter().map(|user| &user.username)) {
        // A ServiceAccount's own name comes last.
        names.extend(user.rsplit(':').next().map(str::to_owned));
        names.push(user.clone());
    }
    names.extend(sent.impersonated.iter().flat_map(|user| user.groups.clone()));
    names
}

/// The object's name, as the refusal has it: the server may have chosen its end.
fn object(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(' ')?;
    quoted(rest).map(|(name, _)| name.to_owned())
}

/// Where a name stands by itself, and not as a part of a longer word.
fn by_itself<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
    let joins = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let places = text.match_indices(name).map(|(at, found)| at..at + found.len());
    places.filter(move |place| {
        !text[..place.start].ends_with(joins) && !text[place.end..].starts_with(joins)
    })
}

/// The words behind a mark.
fn behind<'t>(text: &'t str, mark: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
    text.match_indices(mark).map(|(at, mark)| {
        let start = at + mark.len();
        let rest = &text[start..];
        start..start + rest.find(char::is_whitespace).unwrap_or(rest.len())
    })
}
