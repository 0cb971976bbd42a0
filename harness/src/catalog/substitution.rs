//! What stands for something that only a run knows: `${image}` and the like in controls and targets.

use std::collections::BTreeMap;

use serde_json::Value;

/// The values of one run.
#[derive(Clone, Default)]
pub struct Values {
    /// `${image}`: the image that holds `probe` and `brinell`.
    pub image: String,
    /// `${run}`: the run's id.
    pub run: String,
    /// `${ca}`: the certificate of the CA that signed `cert`, PEM in base64.
    pub ca: String,
    /// `${cert}`: a certificate for the Services of all webhooks, and for 127.0.0.1, PEM in base64.
    pub cert: String,
    /// `${key}`: its private key, PEM in base64.
    pub key: String,
    /// `${client-cert}`: the certificate that the API server shows exec-guard, PEM in base64.
    pub client_cert: String,
    /// `${client-key}`: its private key, PEM in base64.
    pub client_key: String,
    /// `${canary}`: a random text that must be found nowhere but in its Secrets.
    pub canary: String,
    /// `${encryption-key}`: 32 random bytes in base64.
    pub encryption_key: String,
}

impl Values {
    /// The text with every substitution made.
    pub fn fill(&self, text: &str) -> String {
        self.pairs().iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), value)
        })
    }

    /// The map with every substitution made in its values.
    pub fn fill_map(&self, map: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        map.iter().map(|(key, value)| (key.clone(), self.fill(value))).collect()
    }

    /// The object with every substitution made in its texts. A value stays a text, whatever it looks like.
    pub fn fill_object(&self, object: &Value) -> Value {
        fill_texts(object, &|text| self.fill(text))
    }

    /// Every name that may stand between `${` and `}`.
    pub fn names() -> [&'static str; 9] {
        Values::default().pairs().map(|(name, _)| name)
    }

    fn pairs(&self) -> [(&'static str, &str); 9] {
        [
            ("image", &self.image),
            ("run", &self.run),
            ("ca", &self.ca),
            ("cert", &self.cert),
            ("key", &self.key),
            ("client-cert", &self.client_cert),
            ("client-key", &self.client_key),
            ("canary", &self.canary),
            ("encryption-key", &self.encryption_key),
        ]
    }
}

/// The value with every text in it replaced by what `fill` makes of it.
pub(crate) fn fill_texts(value: &Value, fill: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text)),
        Value::Array(items) => items.iter().map(|item| fill_texts(item, fill)).collect(),
        Value::Object(fields) => {
            let filled = |(key, value): (&String, &Value)| (key.clone(), fill_texts(value, fill));
            fields.iter().map(filled).collect()
        }
        other => other.clone(),
    }
}

/// The names that a text asks for. One whose `}` is missing ends with its line.
pub(crate) fn substitutions(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| rest.split(['}', '\n']).next())
}
