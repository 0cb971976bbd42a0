//! What an API path addresses, and with which verb: what an audit event must say of a request.

use crate::catalog::Method;

/// The parts of a resource path. A path that addresses no resource (`/livez`) has none of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiPath<'a> {
    /// Plural resource name.
    pub resource: &'a str,
    /// Object name; empty for a collection.
    pub name: &'a str,
    /// Subresource; empty where none is named.
    pub subresource: &'a str,
}

impl<'a> ApiPath<'a> {
    /// Reads a path with or without its query; none where it addresses no resource.
    pub fn parse(uri: &'a str) -> Option<Self> {
        let path = uri.split('?').next()?.trim_start_matches('/');
        let mut parts: Vec<&str> = path.split('/').collect();
        let head = match *parts.first()? {
            "api" => 2,
            "apis" => 3,
            _ => return None,
        };
        if parts.len() <= head {
            return None;
        }
        let mut rest = parts.split_off(head);
        if rest[0] == "namespaces" && rest.len() > 2 && !["status", "finalize"].contains(&rest[2]) {
            rest.drain(..2);
        }
        let part = |index: usize| rest.get(index).copied().unwrap_or_default();
        Some(ApiPath { resource: part(0), name: part(1), subresource: part(2) })
    }
}

/// The verb that the API server authorizes and logs for a request
/// (<https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb>).
pub fn verb(method: Method, uri: &str) -> &'static str {
    let Some(path) = ApiPath::parse(uri) else {
        return plain_verb(method);
    };
    let collection = path.name.is_empty();
    let watching = uri.split_once('?').is_some_and(|(_, query)| {
        query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1" | "watch"))
    });
    match method {
        Method::Get if collection && watching => "watch",
        Method::Get if collection => "list",
        Method::Get => "get",
        Method::Post => "create",
        Method::Put => "update",
        Method::Patch => "patch",
        Method::Delete if collection => "deletecollection",
        Method::Delete => "delete",
    }
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
            ("/api/v1/namespaces/a/pods", "pods", "", ""),
            ("/api/v1/namespaces/a/pods/p/exec?command=x", "pods", "p", "exec"),
            ("/apis/apps/v1/namespaces/a/deployments/d", "deployments", "d", ""),
            ("/api/v1/nodes/n/proxy/run/x", "nodes", "n", "proxy"),
        ] {
            assert_eq!(
                ApiPath::parse(path),
                Some(ApiPath { resource, name, subresource }),
                "{path}"
            );
        }
        for path in ["/livez", "/version", "/api/v1", "/apis/apps/v1", "/"] {
            assert_eq!(ApiPath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_list_is_no_get() {
        assert_eq!(verb(Method::Get, "/api/v1/secrets?limit=1"), "list");
        assert_eq!(verb(Method::Get, "/api/v1/secrets?limit=1&watch=true"), "watch");
        assert_eq!(verb(Method::Get, "/api/v1/namespaces/a/secrets/b"), "get");
        assert_eq!(verb(Method::Delete, "/api/v1/namespaces/a/events"), "deletecollection");
        assert_eq!(verb(Method::Post, "/livez"), "post");
    }
}
