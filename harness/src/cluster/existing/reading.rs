//! What decides on an existing cluster, read from it kind by kind and page by page. A kind that may not be read is
//! told, and the others are read all the same. Secrets are not among them.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::{GroupVersionKind, Selector, TypeMeta};
use kube::discovery::pinned_kind;
use kube::{Api, Client};
use serde_json::Value;

use super::Existing;
use crate::catalog::{Found, LeftOut};
use crate::cluster::pages;
use crate::model::api_group;
use crate::text::api_words;

/// A kind that is read: its group, the versions in which it may be served, its name, and as its path has it.
struct Kind(&'static str, &'static [&'static str], &'static str, &'static str);

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const FLOW_CONTROL: &str = "flowcontrol.apiserver.k8s.io";

/// The versions of admission policies. Validating ones are served as `v1` since Kubernetes 1.30, mutating ones since
/// 1.36 (measured: before it as `v1beta1`, where flags say so).
const YOUNG: &[&str] = &["v1", "v1beta1", "v1alpha1"];

/// The versions of flow control: `v1` is served since Kubernetes 1.29
/// (<https://kubernetes.io/docs/reference/using-api/deprecation-guide/#flowcontrol-resources-v132>).
const FLOW: &[&str] = &["v1", "v1beta3"];

const KINDS: [Kind; 16] = [
    Kind("", &["v1"], "Namespace", "namespaces"),
    Kind("", &["v1"], "ResourceQuota", "resourcequotas"),
    Kind("", &["v1"], "LimitRange", "limitranges"),
    Kind("networking.k8s.io", &["v1"], "NetworkPolicy", "networkpolicies"),
    Kind(RBAC, &["v1"], "ClusterRole", "clusterroles"),
    Kind(RBAC, &["v1"], "Role", "roles"),
    Kind(RBAC, &["v1"], "ClusterRoleBinding", "clusterrolebindings"),
    Kind(RBAC, &["v1"], "RoleBinding", "rolebindings"),
    Kind(FLOW_CONTROL, FLOW, "PriorityLevelConfiguration", "prioritylevelconfigurations"),
    Kind(FLOW_CONTROL, FLOW, "FlowSchema", "flowschemas"),
    Kind(ADMISSION, YOUNG, "ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    Kind(ADMISSION, YOUNG, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
    Kind(ADMISSION, YOUNG, "MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    Kind(ADMISSION, YOUNG, "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
    Kind(ADMISSION, &["v1"], "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    Kind(ADMISSION, &["v1"], "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
];

/// The kind that defines others.
const DEFINITIONS: Kind =
    Kind("apiextensions.k8s.io", &["v1"], "CustomResourceDefinition", "customresourcedefinitions");

impl Existing {
    /// Reads what decides here, and what policies have for parameters.
    ///
    /// # Errors
    /// When the API server cannot be reached any more.
    pub async fn read_what_decides(&self) -> Result<Found, kube::Error> {
        let mut found = Found::default();
        for kind in &KINDS {
            read_kind(&self.access.admin, kind, &mut found).await?;
        }
        let policies: Vec<Value> = found
            .objects
            .iter()
            .filter(|it| it["spec"]["paramKind"].is_object())
            .cloned()
            .collect();
        let kinds: BTreeSet<(String, String)> = policies.iter().map(named_kind).collect();
        for (version, kind) in kinds {
            self.read_parameters(&version, &kind, &policies, &mut found).await?;
        }
        Ok(found)
    }

    /// Reads the parameters of one kind that bindings name, and how the kind is defined.
    async fn read_parameters(
        &self,
        version: &str,
        kind: &str,
        policies: &[Value],
        found: &mut Found,
    ) -> Result<(), kube::Error> {
        let group = api_group(version);
        if group.is_empty() && kind == "Secret" {
            return Ok(());
        }
        let read = self.parameters(version, kind, policies, &found.objects).await;
        match read {
            Ok(objects) => found.objects.extend(objects),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                let what = format!("the parameters of kind {kind}");
                found.left_out.push(LeftOut::new(&what, &unread(error)?));
                found.unread.insert((group.to_owned(), kind.to_owned()));
            }
        }
        Ok(())
    }

    async fn parameters(
        &self,
        version: &str,
        kind: &str,
        policies: &[Value],
        objects: &[Value],
    ) -> Result<Vec<Value>, kube::Error> {
        let named = |it: &&Value| named_kind(it) == (version.to_owned(), kind.to_owned());
        let names = policies.iter().filter(named).filter_map(|it| it["metadata"]["name"].as_str());
        let names: BTreeSet<&str> = names.collect();
        let binds = |it: &&Value| {
            it["spec"]["policyName"].as_str().is_some_and(|name| names.contains(name))
        };
        let references = objects.iter().filter(binds).map(|it| it["spec"]["paramRef"].to_string());
        let references: BTreeSet<String> = references.filter(|it| it != "null").collect();
        let types = TypeMeta { api_version: version.to_owned(), kind: kind.to_owned() };
        let Ok(known) = GroupVersionKind::try_from(&types) else { return Ok(Vec::new()) };
        let (resource, _) = match pinned_kind(&self.access.admin, &known).await {
            Ok(known) => known,
            // Nobody defines it, so that there are none.
            Err(kube::Error::Discovery(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut read = Vec::new();
        if !known.group.is_empty() {
            let name = format!("{}.{}", resource.plural, resource.group);
            let definition = ListParams::default().fields(&format!("metadata.name={name}"));
            read.extend(list(&self.access.admin, &DEFINITIONS.resource("v1"), definition).await?);
        }
        for reference in references {
            let reference: Value = serde_json::from_str(&reference).unwrap_or_default();
            read.extend(self.referred(&resource, &reference).await?);
        }
        let mut seen = BTreeSet::new();
        read.retain(|it| seen.insert(it["metadata"]["uid"].to_string()));
        Ok(read)
    }

    /// The objects that a binding's `paramRef` means: by name or by labels, in one namespace or in any.
    async fn referred(
        &self,
        resource: &ApiResource,
        reference: &Value,
    ) -> Result<Vec<Value>, kube::Error> {
        let fields = [("name", &reference["name"]), ("namespace", &reference["namespace"])];
        let fields = fields
            .into_iter()
            .filter_map(|(field, value)| Some(format!("metadata.{field}={}", value.as_str()?)));
        let fields: Vec<String> = fields.collect();
        let mut wanted = ListParams::default().fields(&fields.join(","));
        let selector = serde_json::from_value::<LabelSelector>(reference["selector"].clone());
        if let Some(selector) = selector.ok().and_then(|it| Selector::try_from(it).ok()) {
            wanted = wanted.labels_from(&selector);
        }
        list(&self.access.admin, resource, wanted).await
    }
}

/// Reads all of a kind, in the first of its versions that is served.
async fn read_kind(client: &Client, kind: &Kind, found: &mut Found) -> Result<(), kube::Error> {
    for version in kind.1 {
        match list(client, &kind.resource(version), ListParams::default()).await {
            Ok(objects) => {
                found.objects.extend(objects);
                return Ok(());
            }
            // It is served in another version, or not at all: then there is nothing of it.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                found.left_out.push(LeftOut::new(&format!("every {}", kind.2), &unread(error)?));
                found.unread_kinds.insert(kind.2.to_owned());
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn list(
    client: &Client,
    resource: &ApiResource,
    list: ListParams,
) -> Result<Vec<Value>, kube::Error> {
    let api = Api::<DynamicObject>::all_with(client.clone(), resource);
    let objects = pages(list, async |page| api.list(page).await).await?;
    let typed = |object: DynamicObject| {
        let mut object = serde_json::to_value(object).expect("what was JSON is JSON");
        // A list's items do not say what they are.
        object["apiVersion"] = resource.api_version.clone().into();
        object["kind"] = resource.kind.clone().into();
        object
    };
    Ok(objects.into_iter().map(typed).collect())
}

impl Kind {
    fn resource(&self, version: &str) -> ApiResource {
        let Kind(group, _, kind, plural) = self;
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}

/// Version and kind of a policy's parameters.
fn named_kind(policy: &Value) -> (String, String) {
    let named = &policy["spec"]["paramKind"];
    let text = |key: &str| named[key].as_str().unwrap_or_default().to_owned();
    (text("apiVersion"), text("kind"))
}

/// Why something was not read, in the API server's words.
///
/// # Errors
/// What is no answer of an API server.
fn unread(error: kube::Error) -> Result<String, kube::Error> {
    match error {
        kube::Error::Api(_) => Ok(format!("it could not be read: {}", api_words(&error))),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tower::service_fn;

    use super::*;

    /// What is read of a kind where one version of its group is served, and the others answer with a code.
    async fn read_of(kind: &str, served: &'static str, otherwise: u16) -> Found {
        let client = Client::new(
            service_fn(move |request: Request<Body>| async move {
                let items = json!([{"metadata": {"name": "theirs"}}]);
                let (code, body) = match request.uri().path().split('/').nth(3) {
                    Some(version) if version == served => {
                        (200, json!({"metadata": {}, "items": items}))
                    }
                    _ => (otherwise, json!({"status": "Failure", "code": otherwise})),
                };
                let body = Body::from(body.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).expect("built"))
            }),
            "default",
        );
        let mut found = Found::default();
        let kind = KINDS.iter().find(|it| it.2 == kind).expect("it is read");
        read_kind(&client, kind, &mut found).await.expect("answered");
        found
    }

    #[tokio::test]
    async fn a_kind_is_read_in_whichever_version_is_served() {
        for (kind, version) in [
            ("ValidatingAdmissionPolicy", "v1"),
            ("ValidatingAdmissionPolicy", "v1beta1"),
            ("ValidatingAdmissionPolicyBinding", "v1beta1"),
            ("MutatingAdmissionPolicy", "v1beta1"),
            ("MutatingAdmissionPolicyBinding", "v1alpha1"),
            ("FlowSchema", "v1beta3"),
            ("PriorityLevelConfiguration", "v1beta3"),
        ] {
            let found = read_of(kind, version, 404).await;
            let read: Vec<_> =
                found.objects.iter().map(|it| (&it["apiVersion"], &it["kind"])).collect();
            assert!(
                matches!(read[..], [(it, of)] if *of == kind
                && it.as_str().is_some_and(|it| it.ends_with(&format!("/{version}")))),
                "{read:?}"
            );
        }
        let none = read_of("FlowSchema", "v1beta1", 404).await;
        assert!(none.objects.is_empty() && none.left_out.is_empty(), "{none:?}");
    }

    /// Another version says nothing of what may not be read.
    #[tokio::test]
    async fn a_kind_that_may_not_be_read_is_told() {
        let found = read_of("ValidatingAdmissionPolicy", "v1beta1", 403).await;
        assert_eq!(found.objects, [Value::Null; 0]);
        assert!(found.unread_kinds.contains("ValidatingAdmissionPolicy"), "{found:?}");
    }
}
