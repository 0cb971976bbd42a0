//! What differs between any two runs by design, made the same: ids, times, addresses, and what is chosen at random.

use regex::{Captures, Regex};

use crate::model::Results;

/// Where a word begins: also behind a line break or a tab that is written as an escape.
const BEGIN: &str = r"(?:\\[nrt]|\b)";

/// What any run has of its own: UIDs, long hexadecimal numbers, times, addresses with their ports, and the ends of
/// names that the API server chooses (k8s.io/apimachinery/pkg/util/rand: letters and digits that make no words), with
/// the minute that a CronJob's pods have before it (getJobName in pkg/controller/cronjob/utils.go).
const OF_ANY_RUN: &str = concat!(
    r"(?P<uid>BEGIN[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)",
    r"|(?P<hex>BEGIN[0-9a-f]{16,}\b)",
    r"|(?P<time>BEGIN\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?)",
    r"|(?P<address>BEGIN\d{1,3}(?:\.\d{1,3}){3}\b(?::\d{1,5}\b)?|\[[0-9a-f:]*:[0-9a-f:]*\](?::\d{1,5}\b)?|BEGINlocalhost:\d{1,5}\b)",
    r"|(?P<chosen>(?:-[bcdfghjklmnpqrstvwxz2456789]{8,10}|-\d{8})?-[bcdfghjklmnpqrstvwxz2456789]{5}\b)",
);

/// Masks what is of one run alone.
pub(super) struct Mask(Regex);

impl Mask {
    /// Of this run, whose id stands in names and Audit-IDs.
    pub(super) fn of(run: Option<&Results>) -> Mask {
        let own = match run.map(|run| run.run.as_str()) {
            None | Some("") => String::new(),
            Some(id) => format!(r"(?P<run>{BEGIN}{}(?P<number>-\d+)?\b)|", regex::escape(id)),
        };
        let any = OF_ANY_RUN.replace("BEGIN", BEGIN);
        Mask(Regex::new(&format!("(?-u){own}{any}")).expect("an expression of ours"))
    }

    /// A text with a word in the place of each thing that is of this run alone.
    pub(super) fn text(&self, text: &str) -> String {
        self.0.replace_all(text, word).into_owned()
    }
}

/// The word for what was found.
fn word(found: &Captures<'_>) -> &'static str {
    let words = [
        ("number", "RUN-N"),
        ("run", "RUN"),
        ("uid", "UID"),
        ("hex", "HEX"),
        ("time", "TIME"),
        ("address", "ADDRESS"),
        ("chosen", "-CHOSEN"),
    ];
    let is_found = |(name, _): &(&str, &str)| found.name(name).is_some();
    words.into_iter().find(is_found).map_or("", |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_one_run_alone_is_masked() {
        let run = Results { run: "97a0a8".to_owned(), ..Results::default() };
        let mask = Mask::of(Some(&run));
        for (text, masked) in [
            ("/api/v1/namespaces/brinell-97a0a8/pods", "/api/v1/namespaces/brinell-RUN/pods"),
            ("audit event 97a0a8-12 at Metadata", "audit event RUN-N at Metadata"),
            ("brinell-97a0a8-control-plane", "brinell-RUN-control-plane"),
            ("2026-11-20T10:00:00.123456Z", "TIME"),
            ("dial tcp 10.244.0.7:8080: refused", "dial tcp ADDRESS: refused"),
            ("https://[::1]:6443/api", "https://ADDRESS/api"),
            ("0e6b9a14-8a57-4d0c-9b6e-0f4a4a5b6c7d", "UID"),
            ("pods \"app-5d4f8c7b9d-x2k4z\" is", "pods \"app-CHOSEN\" is"),
            ("pods \"app-29929818-x2k4z\" is", "pods \"app-CHOSEN\" is"),
            ("exec-guard, pod-security 403", "exec-guard, pod-security 403"),
            ("validating-admission-policy", "validating-admission-policy"),
            (r"foo\n97a0a8-3\t10.0.0.7\r2026-11-20T10:00:00Z", r"fooRUN-NADDRESSTIME"),
            ("foo\n97a0a8-3\t10.0.0.7", "foo\nRUN-N\tADDRESS"),
            ("v1.36.3, port 6443, cis-5.1.2", "v1.36.3, port 6443, cis-5.1.2"),
        ] {
            assert_eq!(mask.text(text), masked);
        }
    }
}
