//! Reasons: what a refusal is expected to say can be said by it.

use super::Check;
use crate::model::{Layer, POD_SECURITY_CHECKS, PodSecurityCheck};

impl Check<'_> {
    /// A reason must be one that a refusal by these layers can give.
    pub(super) fn saying(&mut self, saying: &str, layers: &[Layer], pointer: &str) {
        let asks = |layer: &Layer| matches!(layer, Layer::Authorization | Layer::Impersonation);
        if saying.trim().is_empty() {
            let hint = "leave it out, and any reason will do";
            self.wrong(pointer, "every refusal says nothing", hint);
        } else if saying.contains(['"', '`']) && !layers.iter().any(asks) {
            let hint = "write the words around it: what is quoted is a name, and whoever asks may choose it";
            self.wrong(pointer, "quoted names are no reason", hint);
        }
        if layers == [Layer::PodSecurity] && !is_policy(saying) {
            let known = POD_SECURITY_CHECKS.iter().copied();
            self.known(
                "check of Pod Security",
                &PodSecurityCheck::parse(saying).name,
                pointer,
                known,
            );
        }
    }
}

/// Whether a reason is a policy of Pod Security: `restricted:v1.33`.
fn is_policy(saying: &str) -> bool {
    let levels = ["privileged:", "baseline:", "restricted:"];
    levels.iter().any(|level| saying.starts_with(level))
}
