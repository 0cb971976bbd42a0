//! What an API path addresses, and with which verb: what an audit event must say of a request.

use crate::model::Method;

/// Segments that may come before a resource and are the verb then. They are deprecated and still served:
/// `/api/v1/watch/pods`.
const SPECIAL_VERBS: [&str; 2] = ["proxy", "watch"];

/// The parts of a resource path. A path that addresses no resource (`/livez`) has none of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiPath {
    /// API group; empty for the core group.
    pub group: String,
    /// Namespace; empty where it names none.
    pub namespace: String,
    /// Plural resource name.
    pub resource: String,
    /// Object name; empty for a collection.
    pub name: String,
    /// Subresource; empty where none is named.
    pub subresource: String,
    special_verb: Option<&'static str>,
}

impl ApiPath {
    /// Reads a path with or without its query as the API server does, its escapes undone first; `None` where it
    /// addresses no resource
    /// (<https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb>).
    pub fn parse(uri: &str) -> Option<Self> {
        let path = percent_decode(uri.split('?').next()?)?;
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, mut rest) = match parts.as_slice() {
            ["api", _, rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            _ => return None,
        };
        let first = rest.first()?;
        let special_verb = SPECIAL_VERBS.into_iter().find(|verb| verb == first);
        if special_verb.is_some() {
            rest = &rest[1..];
        }
        let mut namespace = "";
        if let ["namespaces", name, below @ ..] = rest {
            namespace = *name;
            if below.first().is_some_and(|first| !["status", "finalize"].contains(first)) {
                rest = below;
            }
        }
        let part = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
        let resource = rest.first()?;
        Some(ApiPath {
            group: group.to_owned(),
            namespace: namespace.to_owned(),
            resource: (*resource).to_owned(),
            name: part(1),
            // What follows a proxied name is the backend's path.
            subresource: if special_verb == Some("proxy") { String::new() } else { part(2) },
            special_verb,
        })
    }
}

/// API groups that no other server than the API server answers for, and whose kinds are its own.
const BUILT_IN: [&str; 23] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// The group of an `apiVersion`; empty is the core one.
pub fn api_group(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

/// Whether the kinds of an API group are the API server's own, and neither custom resources nor another server's.
pub fn is_built_in(group: &str) -> bool {
    BUILT_IN.contains(&group)
}

/// The values that a query has for a key, as the API server reads them: Go drops a pair that holds a semicolon or a
/// broken escape.
pub fn query_values(uri: &str, key: &str) -> Vec<String> {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    let whole =
        query.split('&').filter(|pair| !pair.contains(';') && percent_decode(pair).is_some());
    let decoded = whole.flat_map(|pair| form_urlencoded::parse(pair.as_bytes()));
    decoded.filter(|(name, _)| name == key).map(|(_, value)| value.into_owned()).collect()
}

/// The text with its escapes undone; `None` where one is broken.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The verb that the API server authorizes and logs for a request
/// (<https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb>).
pub fn verb(method: Method, uri: &str) -> &'static str {
    let Some(path) = ApiPath::parse(uri) else {
        return plain_verb(method);
    };
    if let Some(verb) = path.special_verb {
        return verb;
    }
    let collection = path.name.is_empty();
    match method {
        Method::Get if collection && is_watching(uri) => "watch",
        Method::Get if collection => "list",
        Method::Get => "get",
        Method::Post => "create",
        Method::Put => "update",
        Method::Patch => "patch",
        Method::Delete if collection => "deletecollection",
        Method::Delete => "delete",
    }
}

/// The first value of `watch` counts, and any but these two means yes.
fn is_watching(uri: &str) -> bool {
    let values = query_values(uri, "watch");
    values.first().is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
}

/// Outside of resources the verb is the method.
fn plain_verb(method: Method) -> &'static str {
    match method {
        Method::Get => "get",
        Method::Post => "post",
        Method::Put => "put",
        Method::Patch => "patch",
        Method::Delete => "delete",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_the_api_server_reads_them() {
        for (path, resource, name, subresource) in [
            ("/api/v1/namespaces", "namespaces", "", ""),
            ("/api/v1/namespaces/a", "namespaces", "a", ""),
            ("/api/v1/namespaces/a/finalize", "namespaces", "a", "finalize"),
            ("/api/v1/namespaces/a/status", "namespaces", "a", "status"),
            ("/api/v1/namespaces/a/pods", "pods", "", ""),
            ("/api/v1/namespaces/a/pods/", "pods", "", ""),
            ("/api/v1/namespaces/a/pods/p/exec?command=x", "pods", "p", "exec"),
            ("/api/v1/namespaces/a/p%6Fds/p%2Fexec", "pods", "p", "exec"),
            ("/apis/apps/v1/namespaces/a/deployments/d", "deployments", "d", ""),
            ("/api/v1/nodes/n/proxy/run/x", "nodes", "n", "proxy"),
            ("/api/v1/namespaces/a/pods/p/proxy/api/v1/secrets", "pods", "p", "proxy"),
            (
                "/api/v1/namespaces/a/services/https:s:443/proxy/x",
                "services",
                "https:s:443",
                "proxy",
            ),
            ("/api/v1/watch/namespaces/a/secrets", "secrets", "", ""),
            ("/apis/apps/v1/watch/namespaces/a/deployments/d", "deployments", "d", ""),
            ("/api/v1/proxy/namespaces/a/pods/p/exec", "pods", "p", ""),
            ("/api/v1//pods", "", "pods", ""),
        ] {
            let read = ApiPath::parse(path).unwrap_or_default();
            let parts = (read.resource.as_str(), read.name.as_str(), read.subresource.as_str());
            assert_eq!(parts, (resource, name, subresource), "{path}");
        }
        for path in ["/livez", "/version", "/api/v1", "/apis/apps/v1", "/", "/api/v1/watch"] {
            assert_eq!(ApiPath::parse(path), None, "{path}");
        }
        let read = ApiPath::parse("/apis/apps/v1/namespaces/a/deployments").unwrap_or_default();
        assert_eq!((read.group.as_str(), read.namespace.as_str()), ("apps", "a"));
    }

    #[test]
    fn a_list_is_no_get() {
        assert_eq!(verb(Method::Get, "/api/v1/secrets?limit=1"), "list");
        assert_eq!(verb(Method::Get, "/api/v1/secrets?fieldSelector=metadata.name%3Db"), "list");
        assert_eq!(verb(Method::Get, "/api/v1/namespaces/a/secrets/b"), "get");
        assert_eq!(verb(Method::Get, "/api/v1/namespaces/a/secrets/b?watch=true"), "get");
        assert_eq!(verb(Method::Delete, "/api/v1/namespaces/a/events"), "deletecollection");
        assert_eq!(verb(Method::Post, "/livez"), "post");
    }

    #[test]
    fn a_watch_is_asked_for_in_many_ways() {
        for query in
            ["watch=true", "limit=1&watch=True", "watch", "watch=", "watch=no", "w%61tch=2"]
        {
            assert_eq!(verb(Method::Get, &format!("/api/v1/secrets?{query}")), "watch", "{query}");
        }
        for query in ["watch=0", "watch=FALSE", "watch=false&watch=true", "watch=true;", "Watch=1"]
        {
            assert_eq!(verb(Method::Get, &format!("/api/v1/secrets?{query}")), "list", "{query}");
        }
        assert_eq!(verb(Method::Get, "/api/v1/watch/secrets?watch=0"), "watch");
        assert_eq!(verb(Method::Get, "/api/v1/watch/namespaces/a/secrets/b"), "watch");
    }

    #[test]
    fn a_query_is_read_as_go_reads_it() {
        let values = |uri| query_values(uri, "dryRun");
        assert_eq!(values("/x?dryRun=All&a=b&dry%52un=A%6cl"), ["All", "All"]);
        assert_eq!(values("/x?a=dryRun=All&dryrun=All&dryRun=All;b=c&dryRun=%zz"), [""; 0]);
    }
}
