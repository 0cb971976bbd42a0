//! What an expression in CEL speaks of, by its words. What stands in quotation marks counts along.

/// The variable by which CEL asks the authorizers.
pub(super) const AUTHORIZER: &str = "authorizer";

/// The part of a request that says who sends it: `request.userInfo`
/// (<https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>).
const USER: &str = "userInfo";

/// Whether an expression may come out otherwise for one than for another: it reads who asks, or what they may do.
pub(crate) fn goes_by_who_asks(expression: &str) -> bool {
    [USER, AUTHORIZER].iter().any(|word| is_said_in(word, expression))
}

/// Whether an expression has a word, which is no part of another one there.
pub(crate) fn is_said_in(word: &str, expression: &str) -> bool {
    expression.split(|c: char| !c.is_alphanumeric() && c != '_').any(|it| it == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_read_by_two_words_alone() {
        for expression in [
            "request.userInfo.username == 'a'",
            "request.?userInfo.orValue({}) == {}",
            "dyn(request)['userInfo'].groups == []",
            "!authorizer.path('/').check('get').allowed()",
        ] {
            assert!(goes_by_who_asks(expression), "{expression}");
        }
        for expression in
            ["object.spec.authorizers == 1", "request.name == 'a'", "object.userInfos"]
        {
            assert!(!goes_by_who_asks(expression), "{expression}");
        }
    }
}
