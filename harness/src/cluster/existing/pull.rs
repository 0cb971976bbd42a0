//! With what the nodes of an existing cluster pull our image.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::{Value, json};

use super::Existing;
use crate::model::PullSecret;
use crate::text::api_words;

/// The key of a Secret of the type `kubernetes.io/dockerconfigjson`, and the name of the type.
const KEY: &str = ".dockerconfigjson";
const TYPE: &str = "kubernetes.io/dockerconfigjson";

/// The name of our Secrets.
const NAME: &str = "brinell-pull";

/// The credentials of registries, as a Secret holds them. They are printed nowhere.
#[derive(Clone)]
pub struct PullCredentials(String);

/// A pull secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PullSecretError {
    /// The file.
    #[error("the pull secret {} cannot be read: {cause}; `docker login` writes one", .path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
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
        "the pull secret {0} holds no credentials: JSON with an `auth` for a registry is expected, as in \
         {{\"auths\": {{\"registry.example.com\": {{\"auth\": …}}}}}}. A helper for credentials keeps them elsewhere"
    )]
    Empty(String),
}

impl PullCredentials {
    fn of(text: String, from: &str) -> Result<Self, PullSecretError> {
        let config: Value = serde_json::from_str(&text).unwrap_or_default();
        let mut auths = config["auths"].as_object().into_iter().flat_map(|auths| auths.values());
        let holds = |auth: &Value| {
            ["auth", "password"]
                .iter()
                .any(|key| auth[*key].as_str().is_some_and(|it| !it.is_empty()))
        };
        let holds_any = auths.any(holds);
        holds_any
            .then_some(PullCredentials(text))
            .ok_or_else(|| PullSecretError::Empty(from.to_owned()))
    }

    /// The Secret with them, in a namespace of ours.
    pub fn secret(&self) -> Value {
        json!({"metadata": {"name": NAME}, "type": TYPE, "stringData": {KEY: self.0}})
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

impl Existing {
    /// Reads what the nodes pull our image with.
    ///
    /// # Errors
    /// When it cannot be read, or holds no credentials.
    pub async fn read_pull_secret(&mut self, from: &PullSecret) -> Result<(), PullSecretError> {
        let (text, from) = match from {
            PullSecret::File(path) => {
                let unreadable = |cause| PullSecretError::Unreadable { path: path.clone(), cause };
                let text = std::fs::read_to_string(path).map_err(unreadable)?;
                (text, path.display().to_string())
            }
            PullSecret::Secret(written) => {
                let place = from.place();
                let place = place.ok_or_else(|| PullSecretError::Name(written.clone()))?;
                (self.held_by(place).await?, written.clone())
            }
        };
        self.pull = Some(PullCredentials::of(text, &from)?);
        Ok(())
    }

    /// What a Secret of the cluster's holds.
    async fn held_by(&self, (namespace, name): (&str, &str)) -> Result<String, PullSecretError> {
        let secrets = Api::<Secret>::namespaced(self.access.admin.clone(), namespace);
        let unread = |cause| PullSecretError::Unread { name: format!("{namespace}/{name}"), cause };
        let held = secrets.get(name).await.map_err(unread)?.data.unwrap_or_default();
        let text = held.get(KEY).and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
        text.ok_or_else(|| PullSecretError::Empty(format!("{namespace}/{name}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_credentials_is_no_pull_secret() {
        let held = |text: &str| PullCredentials::of(text.to_owned(), "it").is_ok();
        assert!(held(r#"{"auths": {"a": {}, "b": {"auth": "YTpi"}}}"#));
        assert!(held(r#"{"auths": {"b": {"username": "a", "password": "b"}}}"#));
        for text in ["", "[]", "{}", r#"{"auths": {"a": {}}, "credsStore": "desktop"}"#] {
            assert!(!held(text), "{text}");
        }
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
