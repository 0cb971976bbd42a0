//! What is wrong with what is sent: its fields, its sort, and what stands for something else.

use k8s_openapi::api::core::v1::{EphemeralContainer, PodSpec};

use super::Check;
use super::fields::{self, Unknown};
use crate::catalog::{did_you_mean, substitutions};
use crate::model::{ApiPath, Ephemeral, Method, Patch, PodAction, Request, is_built_in};

/// Subresources that take a part of the object itself.
const PARTS: [&str; 5] = ["", "ephemeralcontainers", "finalize", "resize", "status"];

impl Check<'_> {
    pub(super) fn request(&mut self, request: &Request, pointer: &str) {
        self.path(&request.path, &Request::SUBSTITUTIONS, &format!("{pointer}/path"));
        if let Some(body) = &request.body {
            self.body_substitutions(&body.to_string(), &format!("{pointer}/body"));
        }
        let path = ApiPath::parse(&request.path);
        self.patch(request, path.as_ref(), pointer);
        if let Some(body) = &request.body {
            let look = fields::by_kind(body).or_else(|| {
                let path = path.filter(|path| PARTS.contains(&path.subresource.as_str()))?;
                fields::by_resource(&path.group, &path.resource)
            });
            if let Some(look) = look {
                self.unknown(look(body), &format!("{pointer}/body"));
            }
        }
    }

    pub(super) fn pod_spec(&mut self, pod: &PodAction, pointer: &str) {
        if let Some(spec) = &pod.spec {
            self.unknown(fields::unknown::<PodSpec>(spec), pointer);
        }
    }

    pub(super) fn debug_container(&mut self, ephemeral: &Ephemeral, pointer: &str) {
        if let Some(container) = &ephemeral.container {
            self.unknown(fields::unknown::<EphemeralContainer>(container), pointer);
        }
    }

    /// Fields that Kubernetes does not know, below a place.
    fn unknown(&mut self, unknown: Vec<Unknown>, pointer: &str) {
        for it in unknown {
            self.wrong(&format!("{pointer}{}", it.pointer), &it.message(), &it.hint());
        }
    }

    fn body_substitutions(&mut self, text: &str, pointer: &str) {
        for name in substitutions(text) {
            if !Request::SUBSTITUTIONS.contains(&name) {
                let message = format!("nothing is known as `${{{name}}}` in a body");
                let hint = did_you_mean(name, Request::SUBSTITUTIONS);
                self.wrong(pointer, &message, &hint);
            }
        }
    }

    fn patch(&mut self, request: &Request, path: Option<&ApiPath>, pointer: &str) {
        let place = format!("{pointer}/patch");
        if request.method != Method::Patch {
            if request.patch.is_some() {
                self.wrong(
                    &place,
                    "only a PATCH is of some sort",
                    "remove it, or write `method: PATCH`",
                );
            }
            return;
        }
        let patch = request.patch.unwrap_or(Patch::Strategic);
        if patch == Patch::Strategic && path.is_some_and(|path| !is_built_in(&path.group)) {
            let hint = "write `patch: merge`, `patch: json` or `patch: apply`";
            self.wrong(pointer, "custom resources know no strategic merge", hint);
        }
        let (fits, form) = match (patch, &request.body) {
            (_, None) => (false, "a PATCH sends a body"),
            (Patch::Json, Some(body)) => (body.is_array(), "a JSON patch is a list of operations"),
            (_, Some(body)) => (body.is_object(), "this sort of patch is a part of the object"),
        };
        if !fits {
            let hint = "write `patch: json` with a list, or another sort with keys and values";
            self.wrong(&format!("{pointer}/body"), form, hint);
        }
    }
}
