//! exec-guard: the webhook of the control of that name. It is asked on CONNECT of `pods/exec` and
//! `pods/attach` and refuses sessions that the audit log cannot show, and sensitive pods.

mod certificate;
mod doorway;
mod faults;
mod pod;
mod rule;
mod server;

pub use certificate::{Certificates, certificates};
pub(crate) use doorway::Doorway;
pub use faults::Faults;
pub use pod::{GuardError, GuardPod};
pub use rule::{Labels, LookUpError, PodName, Refusal, respond, screen, weigh};
pub use server::{Guard, serve};
