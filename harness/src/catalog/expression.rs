//! What an expression in CEL speaks of, by its words. What stands in quotation marks counts along.

use std::collections::BTreeSet;

/// The variable by which CEL asks the authorizers.
pub(super) const AUTHORIZER: &str = "authorizer";

/// The part of a request that says who sends it: `request.userInfo`
/// (<https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>).
const USER: &str = "userInfo";

/// By which variables a policy's expressions say what they say.
const VARIABLES: &str = "variables";

/// The variables of a policy that go by who asks.
pub(crate) struct WhoAsks<'p>(BTreeSet<&'p str>);

impl<'p> WhoAsks<'p> {
    /// Those among these, which are told by name and expression in their order: each may say those before it.
    pub(crate) fn among(variables: impl IntoIterator<Item = (&'p str, &'p str)>) -> WhoAsks<'p> {
        let mut known = WhoAsks(BTreeSet::new());
        for (name, expression) in variables {
            if known.matters_to(expression) {
                known.0.insert(name);
            }
        }
        known
    }

    /// Whether an expression may come out otherwise for one than for another: it reads who asks, what they may do, or one
    /// of these variables.
    pub(crate) fn matters_to(&self, expression: &str) -> bool {
        let says = |word: &&str| is_said_in(word, expression);
        [USER, AUTHORIZER].iter().any(says) || says(&VARIABLES) && self.0.iter().any(says)
    }
}

/// Whether an expression has a word, which is no part of another one there.
pub(super) fn is_said_in(word: &str, expression: &str) -> bool {
    expression.split(|c: char| !c.is_alphanumeric() && c != '_').any(|it| it == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_read_by_two_words_and_by_variables_that_read_it() {
        let variables = [("who", "request.userInfo.uid"), ("nobody", "!variables.who"), ("a", "1")];
        let who = WhoAsks::among(variables);
        let goes_by_who_asks = |expression| who.matters_to(expression);
        for expression in [
            "request.userInfo.username == 'a'",
            "request.?userInfo.orValue({}) == {}",
            "dyn(request)['userInfo'].groups == []",
            "!authorizer.path('/').check('get').allowed()",
            "variables.nobody",
        ] {
            assert!(goes_by_who_asks(expression), "{expression}");
        }
        for expression in [
            "object.spec.authorizers == 1",
            "request.name == 'a'",
            "object.userInfos",
            "object.who",
            "variables.a",
        ] {
            assert!(!goes_by_who_asks(expression), "{expression}");
        }
    }
}
