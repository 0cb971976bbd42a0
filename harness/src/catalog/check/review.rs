//! What a review says must be there.

use super::Check;
use crate::model::{GuardReview, Review, SettingReview};

/// The operations that admission knows; `*` would ask for one that a resource does not have.
const OPERATIONS: [&str; 4] = ["CREATE", "UPDATE", "DELETE", "CONNECT"];

impl Check<'_> {
    pub(super) fn review(&mut self, review: &Review, pointer: &str) {
        match review {
            Review::Webhooks(guard) => self.guard(guard, &format!("{pointer}/webhooks")),
            Review::Policies(guard) => self.guard(guard, &format!("{pointer}/policies")),
            Review::Bindings(bindings) => {
                self.subjects(&bindings.except, &format!("{pointer}/bindings/except"));
            }
            Review::Encryption(encryption) => {
                if encryption.resources.is_empty() {
                    let pointer = format!("{pointer}/encryption/resources");
                    self.wrong(
                        &pointer,
                        "it asks about nothing",
                        "name a resource, such as secrets",
                    );
                }
            }
            Review::Settings(SettingReview::Anonymous(anonymous)) => {
                for (position, path) in anonymous.paths.iter().enumerate() {
                    self.path(path, &[], &format!("{pointer}/settings/anonymous/paths/{position}"));
                }
            }
            Review::Namespaces(_) | Review::ServiceAccounts(_) | Review::Settings(_) => {}
        }
    }

    fn guard(&mut self, guard: &GuardReview, pointer: &str) {
        for (position, operation) in guard.operations.iter().enumerate() {
            let pointer = format!("{pointer}/operations/{position}");
            self.known("operation", operation, &pointer, OPERATIONS.into_iter());
        }
        if guard.operations.is_empty() != guard.resources.is_empty() {
            let hint = "name `operations:` and `resources:`, or neither";
            self.wrong(pointer, "it asks about half of something", hint);
        }
    }
}
