//! exec-guard without a node to run on: the harness itself does what the Deployment's pod would do, by the same
//! code, with the same certificate and the same rights.

use std::net::{Ipv4Addr, TcpListener};

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use http::HeaderValue;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, Config};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::keys::LOOPBACK;
use super::{Embedded, lock};
use crate::cluster::{ClusterError, StandIn};
use crate::pod::guard::{Faults, Guard, serve};
use crate::pod::server_config_for;

/// What a container runs that is exec-guard.
const COMMAND: [&str; 3] = ["brinell", "in-cluster", "guard"];

/// Its Service, as the API server calls it.
const SERVICE: &str = "exec-guard.brinell-exec-guard.svc";

/// The path on which it answers.
const PATH: &str = "/validate";

/// Whether a Deployment is exec-guard's.
fn is_guard(object: &Value) -> bool {
    object["kind"] == "Deployment"
        && object["spec"]["template"]["spec"]["containers"][0]["command"] == json!(COMMAND)
}

/// Whether it is scaled down to no pods.
fn is_scaled_down(deployment: &Value) -> bool {
    deployment["spec"]["replicas"] == 0
}

/// The arguments of its container.
fn arguments(deployment: &Value) -> impl Iterator<Item = &str> {
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    container["args"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The guard that is served.
pub(super) struct Served {
    /// To drop it asks the guard to end.
    stop: oneshot::Sender<()>,
    /// Closed when the guard has ended and its port is free.
    ended: oneshot::Receiver<()>,
}

impl Served {
    /// A guard that is served while the future is polled.
    fn new(
        listener: TcpListener,
        tls: ServerConfig,
        guard: Guard,
    ) -> (Self, impl Future<Output = ()>) {
        let (stop, stopped) = oneshot::channel::<()>();
        let (ending, ended) = oneshot::channel::<()>();
        let serving = async move {
            // If it ends before it is stopped, the webhook fails as one that is down does.
            let _ = serve(listener, tls, guard, async { stopped.await.unwrap_or_default() }).await;
            drop(ending);
        };
        (Served { stop, ended }, serving)
    }

    /// Ends the guard and waits until its port is free.
    async fn stop(self) {
        drop(self.stop);
        // Nothing is sent over the channel: it is closed.
        let _ = self.ended.await;
    }
}

/// Makes webhooks that name exec-guard's Service call the port at which the harness serves it.
fn lead_here(object: &mut Value, port: u16) {
    if !object["kind"].as_str().is_some_and(|kind| kind.ends_with("WebhookConfiguration")) {
        return;
    }
    for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
        let client = &mut webhook["clientConfig"];
        if client["service"]["name"] == "exec-guard" {
            client["url"] = json!(format!("https://{LOOPBACK}:{port}{PATH}"));
            client.as_object_mut().map(|client| client.remove("service"));
        }
    }
}

/// Replaces the name of exec-guard's Service in a text by the address and port at which the harness serves it. The API
/// server picks its credentials for a webhook by these.
pub(super) fn called_here(text: &str, port: u16) -> String {
    text.replace(SERVICE, &format!("{LOOPBACK}:{port}"))
}

impl StandIn for Embedded {
    fn replaces(&self, object: &Value) -> bool {
        is_guard(object)
    }

    fn take<'a>(&'a self, object: &'a Value) -> LocalBoxFuture<'a, Result<(), ClusterError>> {
        self.serve_guard(object).boxed_local()
    }

    fn release<'a>(&'a self, object: &'a Value) -> LocalBoxFuture<'a, ()> {
        async move {
            if is_guard(object) {
                self.stop_guard().await;
            }
        }
        .boxed_local()
    }

    fn adapt(&self, object: &mut Value) {
        lead_here(object, self.ports.guard);
    }
}

impl Embedded {
    /// Serves what the Deployment would run, until the cluster ends; what was served before ends now. A Deployment of
    /// no replicas serves nothing.
    async fn serve_guard(&self, deployment: &Value) -> Result<(), ClusterError> {
        self.stop_guard().await;
        if is_scaled_down(deployment) {
            return Ok(());
        }
        let namespace = deployment["metadata"]["namespace"].as_str().unwrap_or_default();
        let pod = &deployment["spec"]["template"]["spec"];
        let config = self.admin().await?;
        let secret = pod["volumes"][0]["secret"]["secretName"].as_str().unwrap_or_default();
        let secrets = Api::<Secret>::namespaced(Client::try_from(config.clone())?, namespace);
        let data = secrets.get(secret).await?.data.unwrap_or_default();
        let bytes = |name: &str| data.get(name).map_or(&[][..], |bytes| bytes.0.as_slice());
        let tls = server_config_for(bytes("client.crt"), bytes("tls.crt"), bytes("tls.key"))?;
        let account = pod["serviceAccountName"].as_str().unwrap_or_default();
        let user = format!("system:serviceaccount:{namespace}:{account}");
        let faults = Faults::read(arguments(deployment))?;
        let guard = Guard::new(self.run.clone(), acting_as(config, &user)?, faults);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.ports.guard))
            .map_err(ClusterError::Port)?;
        let (served, serving) = Served::new(listener, tls, guard);
        self.spawn(serving);
        *lock(&self.guard) = Some(served);
        Ok(())
    }

    /// Stops the guard, if one is served.
    async fn stop_guard(&self) {
        let served = lock(&self.guard).take();
        if let Some(served) = served {
            served.stop().await;
        }
    }
}

/// A client with the rights of the guard's ServiceAccount and no others.
fn acting_as(mut config: Config, user: &str) -> Result<Client, ClusterError> {
    let user = HeaderValue::from_str(user).map_err(|error| kube::Error::HttpError(error.into()))?;
    config.headers.push((http::HeaderName::from_static("impersonate-user"), user));
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_webhooks_of_the_guards_service_are_led_here() {
        let mut object = json!({
            "kind": "ValidatingWebhookConfiguration",
            "webhooks": [
                {"clientConfig": {"caBundle": "x", "service": {"name": "exec-guard"}}},
                {"clientConfig": {"service": {"name": "another"}}},
            ],
        });
        lead_here(&mut object, 4711);
        let ours = json!({"caBundle": "x", "url": "https://127.0.0.1:4711/validate"});
        assert_eq!(object["webhooks"][0]["clientConfig"], ours);
        assert_eq!(object["webhooks"][1]["clientConfig"]["service"]["name"], "another");
    }

    #[test]
    fn a_user_for_the_guards_service_is_one_for_its_place_here() {
        let users = "- name: exec-guard.brinell-exec-guard.svc\n- name: another.shop.svc\n";
        let here = "- name: 127.0.0.1:4711\n- name: another.shop.svc\n";
        assert_eq!(called_here(users, 4711), here);
    }

    #[test]
    fn the_guard_is_known_by_what_it_runs() {
        let deployment = |command: Value| {
            let containers = json!([{"command": command}]);
            json!({
                "kind": "Deployment",
                "spec": {"template": {"spec": {"containers": containers}}, "replicas": 0},
            })
        };
        assert!(is_guard(&deployment(json!(COMMAND))));
        assert!(!is_guard(&deployment(json!(["probe", "wait"]))));
        assert!(is_scaled_down(&deployment(json!(COMMAND))));
        assert_eq!(arguments(&deployment(json!(COMMAND))).count(), 0);
    }

    #[tokio::test]
    async fn a_stopped_guard_frees_its_port_whoever_is_connected() {
        let certified = rcgen::generate_simple_self_signed([LOOPBACK.to_owned()]).expect("made");
        let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
        let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
        let tls = server_config_for(certificate, certificate, key).expect("a configuration");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
        let address = listener.local_addr().expect("an address");
        let nobody = Config::new("http://127.0.0.1:1".parse().expect("a URL"));
        let client = Client::try_from(nobody).expect("a client");
        let guard = Guard::new("k7f3".to_owned(), client, Faults::default());
        let (served, serving) = Served::new(listener, tls, guard);
        tokio::spawn(serving);
        let _connected = tokio::net::TcpStream::connect(address).await.expect("connected");
        served.stop().await;
        TcpListener::bind(address).expect("free again");
    }

    #[test]
    fn its_arguments_are_those_of_its_container() {
        let containers = json!([{"command": COMMAND, "args": ["--delay", "3"]}]);
        let deployment = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        assert_eq!(arguments(&deployment).collect::<Vec<_>>(), ["--delay", "3"]);
    }
}
