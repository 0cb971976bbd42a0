//! A read of everything that etcd holds for Kubernetes, through its JSON gateway. Values are looked
//! at and forgotten; only keys are named.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::http::{Ending, Peer};
use super::{NoAnswer, ProbeError};
use crate::pod::tls::client_config;

/// All of Kubernetes: the API server's default `--etcd-prefix`.
const REGISTRY: &str = "/registry/";

/// The first key behind [`REGISTRY`]: `0` follows `/`.
const BEHIND_REGISTRY: &str = "/registry0";

/// How the API server marks a value that it encrypted, whatever the provider (Kubernetes docs).
const ENCRYPTED: &[u8] = b"k8s:enc:";

/// How many keys are asked for at once.
const PAGE: u32 = 500;

/// How large a page may be. One that is larger is asked for again in halves.
const PAGE_LIMIT: usize = 16 * 1024 * 1024;

/// How long a page may take.
const PAGE_TIME: Duration = Duration::from_secs(10);

/// How many keys of a kind are named.
const NAMED: usize = 50;

/// What to look for, and where.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EtcdOrder {
    /// IP address and port of etcd.
    pub address: SocketAddr,
    /// The name that etcd must prove.
    pub server_name: String,
    /// PEM certificates that vouch for etcd.
    pub ca: String,
    /// The API server's PEM certificate.
    pub client_cert: String,
    /// Its PEM private key.
    pub client_key: String,
    /// The keys that must be encrypted begin so; below `/registry/`.
    pub prefix: String,
    /// The text that no value may hold.
    pub canary: String,
}

/// What was found. The counts are exact; of each list at most 50 keys are named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdAnswer {
    /// How many keys there are below `/registry/`: each was read.
    pub keys: usize,
    /// How many of them begin with the prefix.
    pub below_prefix: usize,
    /// How many of those are not encrypted.
    pub plain_count: usize,
    /// Their names.
    pub plain: Vec<String>,
    /// How many of the others each key has encrypted, by its provider, version and name: `secretbox:v1:run`.
    pub under: BTreeMap<String, usize>,
    /// How many keys hold the canary, wherever they are.
    pub canary_count: usize,
    /// Their names.
    pub canary: Vec<String>,
}

/// `etcdserverpb.RangeResponse` as JSON: numbers of 64 bits are strings, and zeros are left out.
#[derive(Deserialize)]
struct Range<'a> {
    #[serde(borrow)]
    header: Header<'a>,
    #[serde(borrow, default)]
    kvs: Vec<KeyValue<'a>>,
    #[serde(default)]
    more: bool,
    #[serde(borrow, default)]
    count: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    revision: Cow<'a, str>,
}

#[derive(Deserialize)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Cow<'a, str>,
}

/// How far the reading has come.
struct Reading {
    from: Vec<u8>,
    page: u32,
    /// All pages are read as of the first one's revision, so that together they are one moment.
    revision: Option<String>,
    found: EtcdAnswer,
}

pub(super) async fn etcd(order: &EtcdOrder) -> Result<Result<EtcdAnswer, NoAnswer>, ProbeError> {
    let peer = peer(order)?;
    Ok(read_all(&peer, order, PAGE_LIMIT).await)
}

fn peer(order: &EtcdOrder) -> Result<Peer, ProbeError> {
    if !order.prefix.starts_with(REGISTRY) || order.canary.is_empty() {
        let expected = format!("expected a prefix below {REGISTRY} and a canary");
        return Err(ProbeError::Order(expected));
    }
    let identity = (order.client_cert.as_str(), order.client_key.as_str());
    let tls = client_config(Some(&order.ca), Some(identity))?;
    Peer::new(order.address, Some(&order.server_name), Some(tls))
}

/// Reads page after page. Any page that does not come whole ends all of it: a short result would look
/// like a clean one.
async fn read_all(peer: &Peer, order: &EtcdOrder, limit: usize) -> Result<EtcdAnswer, NoAnswer> {
    let mut reading = Reading {
        from: REGISTRY.as_bytes().to_vec(),
        page: PAGE,
        revision: None,
        found: EtcdAnswer::default(),
    };
    loop {
        let Some(page) = reading.page(peer, limit).await? else {
            reading.page = halved(reading.page, limit)?;
            continue;
        };
        if !reading.take(&page, order)? {
            return Ok(reading.found);
        }
    }
}

fn halved(page: u32, limit: usize) -> Result<u32, NoAnswer> {
    match page / 2 {
        0 => Err(NoAnswer::broken(format!("etcd holds a value that fills over {limit} bytes"))),
        half => Ok(half),
    }
}

impl Reading {
    /// The next page; `None` if it is larger than the limit.
    async fn page(&self, peer: &Peer, limit: usize) -> Result<Option<Vec<u8>>, NoAnswer> {
        let fetched = peer.fetch(self.request()?, limit, PAGE_TIME).await?;
        match fetched.ending {
            Ending::TooLong => Ok(None),
            Ending::Missing(silence) => Err(silence),
            Ending::Whole if fetched.code != 200 => Err(NoAnswer::broken(format!(
                "etcd answered {}: {}",
                fetched.code,
                String::from_utf8_lossy(&fetched.body).chars().take(200).collect::<String>()
            ))),
            Ending::Whole => Ok(Some(fetched.body)),
        }
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, NoAnswer> {
        let mut range = json!({
            "key": BASE64_STANDARD.encode(&self.from),
            "range_end": BASE64_STANDARD.encode(BEHIND_REGISTRY),
            "limit": self.page,
        });
        if let Some(revision) = &self.revision {
            range["revision"] = json!(revision);
        }
        Request::post("/v3/kv/range")
            .header("content-type", "application/json")
            .body(Full::from(range.to_string()))
            .map_err(|error| NoAnswer::broken(error.to_string()))
    }

    /// Takes in a page, and says whether another one follows.
    fn take(&mut self, page: &[u8], order: &EtcdOrder) -> Result<bool, NoAnswer> {
        let range: Range<'_> = serde_json::from_slice(page).map_err(|_| not_understood("page"))?;
        let left: usize = match &*range.count {
            "" => 0,
            count => count.parse().map_err(|_| not_understood("count"))?,
        };
        // The count is that of the whole range, not of the page.
        let complete = if range.more { left > range.kvs.len() } else { left == range.kvs.len() };
        if !complete || (range.more && range.kvs.is_empty()) {
            return Err(NoAnswer::cut(format!(
                "etcd counts {left} keys from here on but sent {}",
                range.kvs.len()
            )));
        }
        for pair in &range.kvs {
            self.look_at(pair, order)?;
        }
        self.revision.get_or_insert_with(|| range.header.revision.into_owned());
        Ok(range.more)
    }

    fn look_at(&mut self, pair: &KeyValue<'_>, order: &EtcdOrder) -> Result<(), NoAnswer> {
        let key = decode(&pair.key)?;
        let value = decode(&pair.value)?;
        if key < self.from {
            return Err(NoAnswer::broken("etcd sent keys that were not asked for"));
        }
        let found = &mut self.found;
        found.keys += 1;
        if key.starts_with(order.prefix.as_bytes()) {
            found.below_prefix += 1;
            match value.strip_prefix(ENCRYPTED) {
                Some(rest) => *found.under.entry(encrypted_by(rest)).or_default() += 1,
                None => note(&mut found.plain_count, &mut found.plain, &key),
            }
        }
        if contains(&value, &order.canary) {
            note(&mut found.canary_count, &mut found.canary, &key);
        }
        // The next key that can exist.
        self.from = key;
        self.from.push(0);
        Ok(())
    }
}

fn note(count: &mut usize, names: &mut Vec<String>, key: &[u8]) {
    *count += 1;
    if names.len() < NAMED {
        names.push(String::from_utf8_lossy(key).into_owned());
    }
}

/// Who encrypted a value: `secretbox:v1:run:…` says its provider, the version of that, and the key's name. Of what has
/// another form nothing is kept.
fn encrypted_by(rest: &[u8]) -> String {
    let is_name = |part: &&[u8]| part.len() < 100 && part.iter().all(u8::is_ascii_graphic);
    let mut parts: Vec<&[u8]> = rest.splitn(4, |byte| *byte == b':').collect();
    match parts.pop().is_some() && parts.len() == 3 && parts.iter().all(is_name) {
        true => String::from_utf8_lossy(&parts.join(&b':')).into_owned(),
        false => "a key of another form".to_owned(),
    }
}

/// Whether a value holds a text. Bytes that are not UTF-8 are replaced: they can be no part of the text.
fn contains(value: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(value).contains(text)
}

fn decode(text: &str) -> Result<Vec<u8>, NoAnswer> {
    BASE64_STANDARD.decode(text).map_err(|_| not_understood("key or value"))
}

/// In our own words: those of the parser may quote a value.
fn not_understood(what: &str) -> NoAnswer {
    NoAnswer::broken(format!("etcd's {what} is not understood"))
}

#[cfg(test)]
mod tests;
