//! What serves a control's webhooks where there are no nodes, and the images that nodes are given.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Check;
use crate::catalog::{ControlEntry, Values, identity, substitutions};
use crate::model::{SERVER_CERTIFICATES, SERVER_PORT, ServedBy, WebhookServer};

/// What may stand between `${` and `}` in the command of a server.
pub(super) const SERVERS_OWN: [&str; 2] = ["port", "certificates"];

impl Check<'_> {
    pub(super) fn servers(&mut self, entry: &ControlEntry) {
        // What does not fit is told of the weakening.
        let objects = entry.set_up(None).unwrap_or_default().objects;
        let objects: BTreeSet<String> = objects.iter().map(|it| identity(&it.object)).collect();
        for (position, server) in entry.control.servers.iter().enumerate() {
            let pointer = format!("/servers/{position}");
            let WebhookServer { deployment, services, by } = server;
            let of_kind = |kind: &'static str| {
                objects.iter().filter_map(move |it| it.strip_prefix(kind)?.strip_prefix('/'))
            };
            let at = format!("{pointer}/deployment");
            self.known("Deployment", deployment, &at, of_kind("Deployment"));
            let before = entry.control.servers[..position].iter().flat_map(WebhookServer::places);
            let before: BTreeSet<String> = before.collect();
            if let Some(place) = server.places().find(|place| before.contains(place)) {
                let hint = "one thing serves in one place: name the Deployment once, with all its `services`";
                self.wrong(&at, &format!("something serves for {place} already"), hint);
            }
            for (position, service) in services.iter().enumerate() {
                let at = format!("{pointer}/services/{position}");
                self.known("Service", service, &at, of_kind("Service"));
            }
            self.served_by(by, &format!("{pointer}/by"));
        }
        if SERVERS_OWN.iter().any(|name| self.source.text.contains(&format!("${{{name}}}"))) {
            self.told_elsewhere();
        }
        for (position, image) in entry.control.images.iter().enumerate() {
            if image.is_empty() || image.starts_with('-') || image.contains(char::is_whitespace) {
                let hint = "an image as the engine names it: `registry.example/guard:1.4`";
                self.wrong(&format!("/images/{position}"), "this is no image's name", hint);
            }
        }
    }

    /// What a command alone is told stands nowhere else.
    fn told_elsewhere(&mut self) {
        let Ok(mut says) = self.source.parse::<Value>() else { return };
        for server in says["servers"].as_array_mut().into_iter().flatten() {
            server["by"] = Value::Null;
        }
        let mut asked = Vec::new();
        ask(&says, String::new(), &mut asked);
        for (pointer, name) in asked {
            let hint =
                "it is what the command of a server is told: `servers: [{by: {command: […]}}]`";
            self.wrong(&pointer, &format!("there is no `${{{name}}}` here"), hint);
        }
    }

    fn served_by(&mut self, by: &ServedBy, pointer: &str) {
        let words = match by {
            ServedBy::Url(_) if by.port().is_some() => return,
            ServedBy::Url(_) => {
                let hint = "a server on this machine, by its port alone: `https://127.0.0.1:8443`; the path is the webhook's";
                return self.wrong(&format!("{pointer}/url"), "nothing of this is called", hint);
            }
            ServedBy::Command(words) => words,
        };
        let pointer = format!("{pointer}/command");
        let asked: BTreeSet<&str> = words.iter().flat_map(|word| substitutions(word)).collect();
        for name in asked.iter().filter(|name| Values::names().contains(name)) {
            let hint = format!("a command has {SERVER_PORT} and {SERVER_CERTIFICATES}");
            self.wrong(&pointer, &format!("there is no `${{{name}}}` in a command"), &hint);
        }
        if !words.iter().any(|word| word.contains(SERVER_PORT)) {
            let hint = format!(
                "it must listen on 127.0.0.1 at the port that it is told: `[./guard, --port, \"{SERVER_PORT}\"]`"
            );
            self.wrong(&pointer, "it is not told where to listen", &hint);
        }
    }
}

/// Where texts ask for what a server's command is told, as JSON pointers.
fn ask(value: &Value, pointer: String, asked: &mut Vec<(String, &'static str)>) {
    match value {
        Value::String(text) => {
            let names = substitutions(text)
                .filter_map(|name| SERVERS_OWN.into_iter().find(|own| *own == name));
            asked.extend(names.map(|name| (pointer.clone(), name)));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(at, item)| ask(item, format!("{pointer}/{at}"), asked));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(key, field)| ask(field, format!("{pointer}/{key}"), asked));
        }
        _ => {}
    }
}
