//! With what the nodes of an existing cluster pull our image.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::{Map, Value, json};

use super::Existing;
use crate::input::{self, Unreadable};
use crate::model::PullSecret;
use crate::text::api_words;

/// The key of a Secret of the type `kubernetes.io/dockerconfigjson`, and the name of the type.
const KEY: &str = ".dockerconfigjson";
const TYPE: &str = "kubernetes.io/dockerconfigjson";

/// How many bytes a file of credentials may have, as a Secret may.
const LARGEST: u64 = 1 << 20;

/// The name of our Secrets.
const NAME: &str = "brinell-pull";

/// The credentials of registries, as a Secret holds them. They are printed nowhere.
#[derive(Clone)]
pub struct PullCredentials(String);

/// A pull secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PullSecretError {
    /// The file.
    #[error("the pull secret {} {cause}; `docker login` writes one", .path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why not.
        cause: Unreadable,
    },
    /// The name.
    #[error("`{0}` names no pull secret: NAMESPACE/NAME is expected, as in registries/pull")]
    Name(String),
    /// The Secret.
    #[error("the pull secret {name} cannot be read: {}", api_words(cause))]
    Unread {
        /// Namespace and name.
        name: String,
        /// Why not.
        cause: kube::Error,
    },
    /// What it holds.
    #[error(
        "the pull secret {0} holds no credentials for the image's registry {1}: JSON with an `auth` for it is expected, as in \
         {{\"auths\": {{\"{1}\": {{\"auth\": …}}}}}}. A helper for credentials keeps them elsewhere"
    )]
    Empty(String, String),
}

impl PullCredentials {
    /// Those for an image's registry alone: others are nobody's business on the cluster.
    fn of(text: &str, image: &str, from: &str) -> Result<Self, PullSecretError> {
        let registry = registry(image);
        let config: Value = serde_json::from_str(text).unwrap_or_default();
        let auths = config["auths"].as_object().into_iter().flatten();
        let holds = |auth: &Value| {
            ["auth", "password"]
                .iter()
                .any(|key| auth[*key].as_str().is_some_and(|it| !it.is_empty()))
        };
        let own = auths.filter(|(name, auth)| is_of(name, registry) && holds(auth));
        let own: Map<String, Value> =
            own.map(|(name, auth)| (name.clone(), auth.clone())).collect();
        match own.is_empty() {
            true => Err(PullSecretError::Empty(from.to_owned(), registry.to_owned())),
            false => Ok(PullCredentials(json!({"auths": own}).to_string())),
        }
    }

    /// The Secret with them, in a namespace of ours.
    pub fn secret(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "type": TYPE,
            "stringData": {KEY: self.0},
        })
    }

    /// Has an object of ours use them, if it is a pod or an account, whose pods use them then.
    pub fn give(&self, object: &mut Value) {
        let named = json!([{"name": NAME}]);
        match object["kind"].as_str() {
            Some("Pod") => object["spec"]["imagePullSecrets"] = named,
            Some("ServiceAccount") => object["imagePullSecrets"] = named,
            _ => {}
        }
    }
}

/// The registry that an image is in.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

/// Whether credentials under this name are for a registry: it may be a URL with a path, and Docker's own has another
/// name.
fn is_of(name: &str, registry: &str) -> bool {
    let host = name.trim_start_matches("https://").trim_start_matches("http://");
    let host = host.split('/').next().unwrap_or_default();
    host == registry || registry == "docker.io" && host == "index.docker.io"
}

impl Existing {
    /// Reads what the nodes pull our image with.
    ///
    /// # Errors
    /// When it cannot be read, or holds no credentials.
    pub async fn pull_credentials(
        &self,
        from: &PullSecret,
    ) -> Result<PullCredentials, PullSecretError> {
        let (text, from) = match from {
            PullSecret::File(path) => {
                let unreadable = |cause| PullSecretError::Unreadable { path: path.clone(), cause };
                let bytes = input::read(path, LARGEST).map_err(unreadable)?;
                // What is no text holds no credentials.
                (String::from_utf8(bytes).unwrap_or_default(), path.display().to_string())
            }
            PullSecret::Secret(written) => {
                let place = from.place();
                let place = place.ok_or_else(|| PullSecretError::Name(written.clone()))?;
                (self.held_by(place).await?, written.clone())
            }
        };
        PullCredentials::of(&text, &self.access.image, &from)
    }

    /// What a Secret of the cluster's holds.
    async fn held_by(&self, (namespace, name): (&str, &str)) -> Result<String, PullSecretError> {
        let secrets = Api::<Secret>::namespaced(self.access.admin.clone(), namespace);
        let unread = |cause| PullSecretError::Unread { name: format!("{namespace}/{name}"), cause };
        let held = secrets.get(name).await.map_err(unread)?.data.unwrap_or_default();
        let text = held.get(KEY).and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
        // What is no pull secret holds no credentials.
        Ok(text.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_credentials_is_no_pull_secret() {
        let held = |text: &str| PullCredentials::of(text, "b/c:1", "it").is_ok();
        let held = |text: &str| held(&text.replace("\"b\"", "\"docker.io\""));
        assert!(held(r#"{"auths": {"a": {}, "b": {"auth": "YTpi"}}}"#));
        assert!(held(r#"{"auths": {"b": {"username": "a", "password": "b"}}}"#));
        for text in ["", "[]", "{}", r#"{"auths": {"a": {}}, "credsStore": "desktop"}"#] {
            assert!(!held(text), "{text}");
        }
    }

    #[test]
    fn of_other_registries_nothing_is_taken_along() {
        let auths = |names: &[&str]| {
            let auths = names.iter().map(|name| ((*name).to_owned(), json!({"auth": "YTpi"})));
            json!({"auths": auths.collect::<Map<_, _>>()}).to_string()
        };
        let all =
            auths(&["https://r.example.com:5000/v1/", "ghcr.io", "https://index.docker.io/v1/"]);
        for (image, own) in [
            ("r.example.com:5000/team/brinell:1", "https://r.example.com:5000/v1/"),
            ("ghcr.io/brinell@sha256:0", "ghcr.io"),
            ("brinell:1", "https://index.docker.io/v1/"),
            ("team/brinell", "https://index.docker.io/v1/"),
        ] {
            let kept = PullCredentials::of(&all, image, "it").expect("there");
            assert_eq!(kept.0, auths(&[own]), "{image}");
        }
        let other = PullCredentials::of(&all, "quay.io/brinell", "it").err().expect("not there");
        assert!(other.to_string().contains("the image's registry quay.io"), "{other}");
    }

    #[test]
    fn pods_and_accounts_are_given_it() {
        let credentials = PullCredentials("{}".to_owned());
        let given = |mut object: Value| {
            credentials.give(&mut object);
            object
        };
        let pod = given(json!({"kind": "Pod", "spec": {"hostPID": true}}));
        assert_eq!(pod["spec"], json!({"hostPID": true, "imagePullSecrets": [{"name": NAME}]}));
        let account = given(json!({"kind": "ServiceAccount"}));
        assert_eq!(account["imagePullSecrets"], json!([{"name": NAME}]));
        assert_eq!(given(json!({"kind": "Role"})), json!({"kind": "Role"}));
    }
}
