//! Fields that Kubernetes does not know. The API server drops them without a word where it is not told to be strict,
//! and what was meant by `hostNetwrok: true` is never tried.

use std::any::TypeId;
use std::cell::RefCell;
use std::marker::PhantomData;

use k8s_openapi::api::{
    admissionregistration::v1 as admission, apps::v1 as apps, authentication::v1 as authentication,
    authorization::v1 as authorization, batch::v1 as batch, coordination::v1 as coordination,
    core::v1 as core, networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac,
};
use k8s_openapi::{NamespaceResourceScope, Resource};
use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use crate::catalog::did_you_mean;

/// A field that its type does not have.
pub(super) struct Unknown {
    /// Where it stands, as a JSON pointer.
    pub(super) pointer: String,
    /// Its name.
    pub(super) field: String,
    /// The names that the type has.
    pub(super) known: &'static [&'static str],
}

impl Unknown {
    pub(super) fn message(&self) -> String {
        format!("Kubernetes has no field `{}` here", self.field)
    }

    pub(super) fn hint(&self) -> String {
        did_you_mean(&self.field, self.known.iter().copied())
    }
}

/// Fields of pods that are younger than the types that this is compiled with, which are those of 1.33.
const YOUNGER: [&str; 6] = [
    "fileKeyRef",
    "hostnameOverride",
    "podCertificate",
    "restartPolicyRules",
    "schedulingGroup",
    "workloadRef",
];

/// The fields of an object, or a part of one, that a type does not have.
pub(super) fn unknown<T: for<'de> Deserialize<'de>>(value: &Value) -> Vec<Unknown> {
    let found = RefCell::default();
    // A value of another type than the field's is for the API server to refuse: it says so.
    let _ = T::deserialize(Looking { value, pointer: String::new(), found: &found });
    found.into_inner()
}

/// What looks for unknown fields in an object of one kind.
type Look = fn(&Value) -> Vec<Unknown>;

/// A kind whose fields are known.
struct Kind {
    api_version: &'static str,
    group: &'static str,
    kind: &'static str,
    resource: &'static str,
    look: Look,
    is_namespaced: fn() -> bool,
}

const fn kind<T: Resource<Scope: 'static> + for<'de> Deserialize<'de>>(_: PhantomData<T>) -> Kind {
    Kind {
        api_version: T::API_VERSION,
        group: T::GROUP,
        kind: T::KIND,
        resource: T::URL_PATH_SEGMENT,
        look: unknown::<T>,
        is_namespaced: || TypeId::of::<T::Scope>() == TypeId::of::<NamespaceResourceScope>(),
    }
}

macro_rules! kinds {
    ($($module:ident: $($kind:ident)+;)+) => {
        [$($(kind(PhantomData::<$module::$kind>),)+)+]
    };
}

/// The kinds that people attack with. Of others the API server says what it does not know.
static KINDS: [Kind; 41] = kinds! {
    core: Binding ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod
        ReplicationController ResourceQuota Secret Service ServiceAccount;
    apps: DaemonSet Deployment ReplicaSet StatefulSet;
    batch: CronJob Job;
    rbac: ClusterRole ClusterRoleBinding Role RoleBinding;
    admission: MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
        ValidatingWebhookConfiguration;
    authentication: SelfSubjectReview TokenRequest TokenReview;
    authorization: LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview;
    coordination: Lease;
    networking: Ingress NetworkPolicy;
    policy: Eviction PodDisruptionBudget;
};

/// What looks into an object that says what it is.
pub(super) fn by_kind(object: &Value) -> Option<Look> {
    kind_of(object).map(|kind| kind.look)
}

/// Whether an object is in a namespace; of a kind that is not known it is not said.
pub(super) fn is_namespaced(object: &Value) -> bool {
    kind_of(object).is_some_and(|kind| (kind.is_namespaced)())
}

fn kind_of(object: &Value) -> Option<&'static Kind> {
    let is = |kind: &&Kind| object["apiVersion"] == kind.api_version && object["kind"] == kind.kind;
    KINDS.iter().find(is)
}

/// What looks into a part of an object of this resource.
pub(super) fn by_resource(group: &str, resource: &str) -> Option<Look> {
    let is = |kind: &&Kind| (kind.group, kind.resource) == (group, resource);
    KINDS.iter().find(is).map(|kind| kind.look)
}

/// Reads a value into a type and notes every field that the type does not ask for.
#[derive(Clone)]
struct Looking<'a> {
    value: &'a Value,
    pointer: String,
    found: &'a RefCell<Vec<Unknown>>,
}

impl<'a> Looking<'a> {
    fn at(&self, step: &str, value: &'a Value) -> Self {
        Looking { value, pointer: format!("{}/{step}", self.pointer), found: self.found }
    }

    fn note(&self, known: &'static [&'static str]) {
        let fields = self.value.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
        // `$patch` and the like direct a strategic merge.
        let unknown = fields.filter(|field| {
            !known.contains(field) && !YOUNGER.contains(field) && !field.starts_with('$')
        });
        self.found.borrow_mut().extend(unknown.map(|field| Unknown {
            pointer: format!("{}/{field}", self.pointer),
            field: field.to_owned(),
            known,
        }));
    }
}

impl<'de> Deserializer<'de> for Looking<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(value) => match (value.as_i64(), value.as_f64()) {
                (Some(value), _) => visitor.visit_i64(value),
                (None, value) => visitor.visit_f64(value.unwrap_or_default()),
            },
            Value::String(value) => visitor.visit_str(value),
            Value::Array(items) => {
                let items = items.iter().enumerate();
                let items = items.map(|(position, item)| self.at(&position.to_string(), item));
                visitor.visit_seq(SeqDeserializer::new(items))
            }
            Value::Object(fields) => {
                // Null is taken away by a merge, or is as good as nothing.
                let fields = fields.iter().filter(|(_, value)| !value.is_null());
                let fields = fields.map(|(field, value)| (field.as_str(), self.at(field, value)));
                visitor.visit_map(MapDeserializer::new(fields))
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.note(fields);
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            // A quantity may be written as a number.
            Value::Number(value) => {
                visitor.visit_newtype_struct(value.to_string().into_deserializer())
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Looking<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(found: Vec<Unknown>) -> Vec<String> {
        found.into_iter().map(|unknown| unknown.pointer).collect()
    }

    #[test]
    fn a_misspelt_field_is_found_however_deep_it_stands() {
        let spec = json!({
            "hostNetwrok": true,
            "hostnameOverride": "a",
            "nodeSelector": {"any": "key"},
            "containers": [
                {"resources": {"limits": {"cpu": 1}}, "ports": [{"containerPort": 80}]},
                {"securityContext": {"privileged": true, "runAsUsr": 0}},
            ],
            "volumes": [{"name": "a", "hostPath": {"path": "/", "typ": ""}}],
        });
        assert_eq!(
            pointers(unknown::<core::PodSpec>(&spec)),
            ["/hostNetwrok", "/containers/1/securityContext/runAsUsr", "/volumes/0/hostPath/typ"]
        );
    }

    #[test]
    fn an_object_is_known_by_its_kind_and_a_part_of_one_by_its_path() {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "a", "lables": {}},
            "rules": [{"apiGroups": [""], "resource": ["pods"], "verbs": ["get"]}],
        });
        let look = by_kind(&role).expect("known");
        assert_eq!(pointers(look(&role)), ["/metadata/lables", "/rules/0/resource"]);
        let patch = json!({"metadata": {"labels": {"a": null}}, "spec": {"$patch": "merge", "nodename": "n"}});
        let look = by_resource("", "pods").expect("known");
        assert_eq!(pointers(look(&patch)), ["/spec/nodename"]);
        assert!(by_kind(&json!({"apiVersion": "example.com/v1", "kind": "Role"})).is_none());
    }
}
