//! Why a kubeconfig cannot be used, in words that show nothing of what stands in it.

use kube::config::KubeconfigError;
use serde_saphyr::Error;

use crate::text::without_credentials;

/// Why a kubeconfig cannot be used. kube's words of one that cannot be read show the lines around the place, and those of the
/// parser may quote what stands there: either may be a token.
pub(super) fn words(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => unread(error),
        other => without_credentials(&other.to_string()),
    }
}

fn unread(error: &Error) -> String {
    let place = error.location().map_or_else(String::new, |place| {
        format!("line {}, column {}: ", place.line(), place.column())
    });
    let what = match error.without_snippet() {
        Error::Unexpected { expected, .. } => format!("expected {expected}"),
        Error::SerdeMissingField { field, .. } => format!("`{field}` is missing"),
        _ => "it is not what a kubeconfig has there".to_owned(),
    };
    format!("{place}{what} (the line is not shown: it may hold a credential)")
}

#[cfg(test)]
mod tests {
    use kube::config::Kubeconfig;

    use super::*;

    /// Each is wrong in another way, and has a token before the place, in it and after it.
    #[test]
    fn nothing_that_stands_in_it_is_shown() {
        let users = |user: &str| {
            format!(
                "apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user: {{token: s3cr3t}}\n- name: b\n  user: {user}\n\
                 - name: c\n  user: {{password: s3cr3t}}\n"
            )
        };
        for (user, place) in [
            ("{token: s3cr3t, exec: [s3cr3t]}", "line 7, column "),
            ("{token: [s3cr3t]}", "line 7, column "),
            ("s3cr3t", "line 7, column "),
            ("{exec: {interactiveMode: s3cr3t}}", "line 7, column "),
            ("{exec: s3cr3t}", "line 7, column "),
            ("{token: *s3cr3t}", "line 7, column "),
            ("{token: \"s3cr3t}", ""),
            ("{token: s3cr3t", ""),
        ] {
            let Err(error) = Kubeconfig::from_yaml(&users(user)) else { panic!("{user} is taken") };
            let told = words(&error);
            assert!(!told.contains("s3cr3t") && told.starts_with(place), "{user}: {told}");
        }
    }
}
