//! How the API server stores what is secret: its EncryptionConfiguration, and beside it what etcd really holds. Keys
//! are looked at and forgotten; only their names are told.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{file, flaw, texts};
use crate::attack::{ActionError, World};
use crate::model::{EncryptionReview, Flaw, Reviewed};
use crate::pod::probe::EtcdAnswer;
use crate::text::from_base64;

/// The flag that names the EncryptionConfiguration.
const FLAG: &str = "encryption-provider-config";

/// As findings name it.
const FILE: &str = "EncryptionConfiguration";

/// Providers with keys of their own, and how many bytes a key of theirs may have
/// (<https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/#providers>).
const PROVIDERS: [(&str, &[usize]); 3] =
    [("secretbox", &[32]), ("aescbc", &[16, 24, 32]), ("aesgcm", &[16, 24, 32])];

/// Providers that Kubernetes advises against, and why (at the same place).
const WEAK: [(&str, &str); 2] = [
    (
        "aescbc",
        "whoever can change what is stored, and see what the API server says to it, decrypts it without the key",
    ),
    (
        "aesgcm",
        "a key that is used for too many writes repeats itself, and two values that share a nonce give both away",
    ),
];

/// Reads the settings, and all of etcd.
pub(super) async fn read(
    world: &World,
    review: &EncryptionReview,
) -> Result<Reviewed, ActionError> {
    let configuration = match file(world.settings()?, FLAG) {
        Ok(configuration) => configuration,
        Err(why) => return Ok(Reviewed { unread: vec![why], ..Reviewed::default() }),
    };
    let stored = world.stored(&review.prefix).await?;
    let unread = (stored.below_prefix == 0).then(|| {
        format!("etcd holds nothing below {}: nothing shows how it is stored", review.prefix)
    });
    Ok(Reviewed {
        objects: stored.below_prefix,
        flaws: flaws(configuration.as_ref(), &stored, review),
        unread: unread.into_iter().collect(),
        ..Reviewed::default()
    })
}

fn flaws(
    configuration: Option<&Value>,
    stored: &EtcdAnswer,
    review: &EncryptionReview,
) -> Vec<Flaw> {
    let mut found = Vec::new();
    let Some(configuration) = configuration else {
        let follows =
            "everything is stored as it is: read a backup or the disk, and have every Secret";
        found.push(flaw(&format!("--{FLAG}"), "", "not set", follows));
        found.extend(stored_otherwise(stored, None, review));
        return found;
    };
    for resource in &review.resources {
        found.extend(unencrypted(configuration, resource));
    }
    for (position, entry) in list(&configuration["resources"]).enumerate() {
        found.extend(identity_first(entry, position, review));
        found.extend(list(&entry["providers"]).flat_map(|provider| keys(provider, position)));
        found.extend(same_key(entry, position));
    }
    let mut first = review.resources.iter().filter_map(|resource| first(configuration, resource));
    found.extend(stored_otherwise(stored, first.next().as_deref(), review));
    found
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The entry that decides about a resource: the first that names it, or all of its group
/// (<https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/#understanding-the-encryption-at-rest-configuration>).
fn entry<'a>(configuration: &'a Value, resource: &str) -> Option<&'a Value> {
    let group = resource.split_once('.').map_or("", |(_, group)| group);
    let of_group = format!("*.{group}");
    list(&configuration["resources"]).find(|entry| {
        texts(&entry["resources"]).any(|it| [resource, &of_group, "*.*"].contains(&it))
    })
}

/// The provider that writes, by its name.
fn writer(entry: &Value) -> Option<(&str, &Value)> {
    let (name, provider) = list(&entry["providers"]).next()?.as_object()?.iter().next()?;
    Some((name, provider))
}

/// How values look that the first key has written: `secretbox:v1:run`.
fn first(configuration: &Value, resource: &str) -> Option<String> {
    let (name, provider) = writer(entry(configuration, resource)?)?;
    match name {
        "identity" => None,
        "kms" => {
            let version = provider["apiVersion"].as_str().unwrap_or("v1");
            Some(format!("kms:{version}:{}", provider["name"].as_str()?))
        }
        _ => Some(format!("{name}:v1:{}", provider["keys"][0]["name"].as_str()?)),
    }
}

fn unencrypted(configuration: &Value, resource: &str) -> Option<Flaw> {
    let follows =
        "what is written from now on is stored as it is: read a backup or the disk, and have it";
    let Some((name, _)) = entry(configuration, resource).and_then(writer) else {
        return Some(flaw(FILE, "resources", format!("without {resource}"), follows));
    };
    if name == "identity" {
        let is = "identity, before any key".to_owned();
        return Some(flaw(FILE, &format!("the first provider of {resource}"), is, follows));
    }
    let (_, why) = WEAK.iter().find(|(weak, _)| *weak == name)?;
    Some(flaw(FILE, &format!("the first provider of {resource}"), name, *why))
}

/// A key that is there and writes nothing, of what nobody has asked about.
fn identity_first(entry: &Value, position: usize, review: &EncryptionReview) -> Option<Flaw> {
    let resources: Vec<&str> = texts(&entry["resources"]).collect();
    let is_asked = resources.iter().any(|it| review.resources.iter().any(|asked| asked == it));
    let has_key = list(&entry["providers"]).nth(1).is_some();
    let is_first = writer(entry).is_some_and(|(name, _)| name == "identity");
    let follows = "a key is configured, and nothing is written with it: what looks encrypted is there to be read";
    let field = format!("resources[{position}].providers");
    let is = format!("identity before a key, for {}", super::names(&resources));
    (is_first && has_key && !is_asked).then(|| flaw(FILE, &field, is, follows))
}

/// Keys that are none, or that can be guessed.
fn keys(provider: &Value, position: usize) -> Vec<Flaw> {
    let known =
        PROVIDERS.iter().filter_map(|(name, sizes)| Some((name, sizes, provider.get(*name)?)));
    let wrong = known.flat_map(|(name, sizes, provider)| {
        list(&provider["keys"]).filter_map(move |key| {
            let (is, follows) = weak(key["secret"].as_str().unwrap_or_default(), sizes)?;
            let field =
                format!("resources[{position}] {name} key {}", key["name"].as_str().unwrap_or("?"));
            Some(flaw(FILE, &field, is, follows))
        })
    });
    wrong.collect()
}

const GUESSED: &str = "guess it, and read whatever was ever stored with it, from every backup";

fn weak(secret: &str, sizes: &[usize]) -> Option<(String, &'static str)> {
    let Some(key) = from_base64(secret.trim()) else {
        return Some((
            "no base64".to_owned(),
            "an API server that reads this does not start: nothing is encrypted by it",
        ));
    };
    if !sizes.contains(&key.len()) {
        let is = format!("no key: it has {} bytes", key.len());
        return Some((
            is,
            "an API server that reads this does not start: nothing is encrypted by it",
        ));
    }
    // Of random keys of 16 bytes one in eight million is text.
    if key.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Some(("text, as people think of it, and not random".to_owned(), GUESSED));
    }
    let different: BTreeSet<&u8> = key.iter().collect();
    (different.len() * 2 < key.len())
        .then(|| ("a few bytes that repeat, and not random".to_owned(), GUESSED))
}

/// Two names for one key: it was rotated, and nothing changed.
fn same_key(entry: &Value, position: usize) -> Option<Flaw> {
    let mut seen = BTreeSet::new();
    let providers = list(&entry["providers"]);
    let mut keys = providers
        .flat_map(|it| PROVIDERS.iter().filter_map(|(name, _)| it.get(*name)))
        .flat_map(|provider| list(&provider["keys"]));
    let again =
        keys.find(|key| key["secret"].is_string() && !seen.insert(key["secret"].as_str()))?;
    let field = format!("resources[{position}] key {}", again["name"].as_str().unwrap_or("?"));
    let follows = "whoever has the old key has the new one: it was rotated in name alone";
    Some(flaw(FILE, &field, "the same as another one", follows))
}

/// What is stored in another way than it would be written now.
fn stored_otherwise(
    stored: &EtcdAnswer,
    first: Option<&str>,
    review: &EncryptionReview,
) -> Vec<Flaw> {
    let object = format!("etcd below {}", review.prefix);
    let mut found = Vec::new();
    if stored.plain_count > 0 {
        let follows = "they are there to be read, on the disk and in every backup: a key encrypts nothing that was \
                       written before it";
        let is = format!("{} of {} values unencrypted", stored.plain_count, stored.below_prefix);
        found.push(flaw(&object, "", is, follows));
    }
    let older = stored.under.iter().filter(|(key, _)| first.is_some_and(|first| first != **key));
    found.extend(older.map(|(key, count)| {
        let follows = "whoever has the old key reads them still: each has to be written again before the key is gone";
        flaw(&object, "", format!("{count} values under {key}, which no longer writes"), follows)
    }));
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    /// Random once, and used for nothing.
    const KEY: &str = "nPOWlCo8qHU/bbuM5rGGzlbSFW9nXCkmfqSCWbtxe4A=";
    const OTHER: &str = "8mYQdU1uCnYtoOA2ZIoYzRn1c+zIKXGZ6gqEfRQnqwo=";

    fn review() -> EncryptionReview {
        EncryptionReview {
            resources: vec!["secrets".to_owned()],
            prefix: "/registry/secrets/".to_owned(),
        }
    }

    fn stored(plain: usize, under: &[(&str, usize)]) -> EtcdAnswer {
        EtcdAnswer {
            below_prefix: 3,
            plain_count: plain,
            under: under
                .iter()
                .map(|(key, count)| ((*key).to_owned(), *count))
                .collect::<BTreeMap<_, _>>(),
            ..EtcdAnswer::default()
        }
    }

    fn box_of(keys: &[(&str, &str)]) -> Value {
        let keys: Vec<Value> =
            keys.iter().map(|(name, secret)| json!({"name": name, "secret": secret})).collect();
        json!({"secretbox": {"keys": keys}})
    }

    fn configured(entries: Value) -> Vec<String> {
        let configuration = json!({"resources": entries});
        let flaws = flaws(Some(&configuration), &stored(0, &[("secretbox:v1:run", 3)]), &review());
        flaws.into_iter().map(|flaw| format!("{}: {}", flaw.field, flaw.is)).collect()
    }

    #[test]
    fn the_smallest_configuration_is_right() {
        let run = box_of(&[("run", KEY)]);
        for right in [
            json!([{"resources": ["secrets"], "providers": [run]}]),
            json!([{"resources": ["secrets", "configmaps"], "providers": [run, {"identity": {}}]}]),
            json!([{"resources": ["*."], "providers": [box_of(&[("run", KEY), ("old", OTHER)])]}]),
            json!([
                {"resources": ["events"], "providers": [{"identity": {}}]},
                {"resources": ["*.*"], "providers": [run]},
            ]),
        ] {
            assert_eq!(configured(right), [""; 0]);
        }
    }

    #[test]
    fn whatever_writes_nothing_is_found() {
        let run = box_of(&[("run", KEY)]);
        let identity = json!({"identity": {}});
        let first = "the first provider of secrets: identity, before any key";
        for (wrong, expected) in [
            (
                json!([{"resources": ["configmaps"], "providers": [run]}]),
                "resources: without secrets",
            ),
            (json!([{"resources": ["*.apps"], "providers": [run]}]), "resources: without secrets"),
            (json!([{"resources": ["secrets"], "providers": [identity, run]}]), first),
            (
                json!([{"resources": ["*.*"], "providers": [identity]}, {"resources": ["secrets"], "providers": [run]}]),
                first,
            ),
            (
                json!([
                    {"resources": ["secrets"], "providers": [run]},
                    {"resources": ["configmaps"], "providers": [identity, run]},
                ]),
                "resources[1].providers: identity before a key, for configmaps",
            ),
        ] {
            assert_eq!(configured(wrong), [expected]);
        }
        let flaws = flaws(None, &stored(0, &[]), &review());
        assert_eq!(flaws.into_iter().map(|flaw| flaw.is).collect::<Vec<_>>(), ["not set"]);
    }

    #[test]
    fn a_key_that_is_none_is_found() {
        let with = |secret: &str| {
            configured(
                json!([{"resources": ["secrets"], "providers": [box_of(&[("run", KEY), ("x", secret)])]}]),
            )
        };
        let text = crate::text::base64(b"this is a password for everybody");
        let zeros = crate::text::base64(&[0; 32]);
        let short = crate::text::base64(&[7; 16]);
        let key = "resources[0] secretbox key x";
        assert_eq!(with(OTHER), [""; 0]);
        assert_eq!(with(&text), [format!("{key}: text, as people think of it, and not random")]);
        assert_eq!(with(&zeros), [format!("{key}: a few bytes that repeat, and not random")]);
        assert_eq!(with(&short), [format!("{key}: no key: it has 16 bytes")]);
        assert_eq!(with("?"), [format!("{key}: no base64")]);
        assert_eq!(with(KEY), ["resources[0] key x: the same as another one"]);
    }

    #[test]
    fn no_finding_tells_a_key() {
        let secret = crate::text::base64(b"this is a password for everybody");
        let configuration = json!({"resources": [{"resources": ["secrets"], "providers": [box_of(&[("x", &secret)])]}]});
        let found = flaws(Some(&configuration), &stored(0, &[]), &review());
        assert!(!format!("{found:?}").contains(&secret));
        assert!(!format!("{found:?}").contains("password"));
    }

    #[test]
    fn a_provider_that_is_advised_against_is_found_where_it_writes() {
        let keys = json!({"keys": [{"name": "run", "secret": KEY}]});
        let entries = json!([{"resources": ["secrets"], "providers": [{"aescbc": keys}]}]);
        let configuration = json!({"resources": entries});
        let flaws = flaws(Some(&configuration), &stored(0, &[("aescbc:v1:run", 3)]), &review());
        assert_eq!(flaws.into_iter().map(|flaw| flaw.is).collect::<Vec<_>>(), ["aescbc"]);
    }

    #[test]
    fn what_is_stored_otherwise_is_found() {
        let configuration = json!({"resources": [{"resources": ["secrets"], "providers": [box_of(&[("run", KEY)])]}]});
        let find = |stored| {
            let flaws = flaws(Some(&configuration), &stored, &review());
            flaws.into_iter().map(|flaw| flaw.is).collect::<Vec<_>>()
        };
        assert_eq!(find(stored(0, &[("secretbox:v1:run", 3)])), [""; 0]);
        assert_eq!(find(stored(1, &[("secretbox:v1:run", 2)])), ["1 of 3 values unencrypted"]);
        let older = "2 values under secretbox:v1:old, which no longer writes";
        assert_eq!(find(stored(0, &[("secretbox:v1:old", 2), ("secretbox:v1:run", 1)])), [older]);
    }
}
