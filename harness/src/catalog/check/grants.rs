//! What a review of grants asks about, and who is allowed.

use super::Check;
use crate::model::Grants;

impl Check<'_> {
    pub(super) fn grants(&mut self, grants: &Grants, pointer: &str) {
        let hint = "name a `resource:` such as pods/exec, or a `url:` such as /metrics";
        match (&grants.resource, &grants.url) {
            (Some(_), None) => {}
            (None, Some(url)) => self.url(url, grants, &format!("{pointer}/url")),
            (None, None) => self.wrong(pointer, "it asks about nothing", hint),
            (Some(_), Some(_)) => self.wrong(pointer, "it asks about two things", hint),
        }
        self.subjects(&grants.allowed, &format!("{pointer}/allowed"));
    }

    /// Patterns for subjects of bindings.
    pub(super) fn subjects(&mut self, patterns: &[String], pointer: &str) {
        for (position, pattern) in patterns.iter().enumerate() {
            let known = match pattern.split_once('/') {
                Some(("Group" | "User", name)) => !name.is_empty(),
                Some(("ServiceAccount", name)) => name.contains(['/', '*']),
                _ => false,
            };
            if !known {
                let hint = "write `Group/name`, `User/name` or `ServiceAccount/namespace/name`";
                let pointer = format!("{pointer}/{position}");
                self.wrong(&pointer, "no subject has that form", hint);
            }
        }
    }

    fn url(&mut self, url: &str, grants: &Grants, pointer: &str) {
        if !url.starts_with('/') || url.contains('*') {
            let hint = "write one whole path, such as /metrics: rules with a star are found by it";
            self.wrong(pointer, &format!("{url:?} is no path"), hint);
        }
        if !grants.group.is_empty() {
            self.wrong(pointer, "a path is in no API group", "remove `group`");
        }
    }
}
