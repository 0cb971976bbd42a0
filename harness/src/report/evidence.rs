//! What a verdict rests on, in words: each part by its name, in lines.

use super::block::answered;
use crate::model::{
    Answer, AttemptResult, Decision, Effect, Event, Evidence, Flaw, Holding, Leak, Log, Response,
    Sent, Through, User,
};

/// A part of the evidence, and what there is to say of it.
pub(super) type Part = (&'static str, Vec<String>);

/// All parts of an attempt's evidence of which there is something to say.
pub(super) fn parts(attempt: &AttemptResult) -> Vec<Part> {
    let Some(evidence) = &attempt.evidence else { return Vec::new() };
    let Evidence { sent: request, answer, decision, effect, log, namesakes } = evidence;
    let parts = [
        ("sent", sent(request)),
        ("answer", answer_lines(answer)),
        ("decided", decided(decision)),
        ("afterwards", seen(effect)),
        ("log", logged(log)),
        ("of this name", namesakes.clone()),
    ];
    parts.into_iter().filter(|(_, lines)| !lines.is_empty()).collect()
}

fn sent(sent: &Sent) -> Vec<String> {
    let user = |user: &User| match user.groups.is_empty() {
        true => user.username.clone(),
        false => format!("{} in {}", user.username, user.groups.join(", ")),
    };
    let verb = sent.verb.iter().map(|verb| format!("verb {verb}"));
    let id = sent.audit_id.iter().map(|id| format!("Audit-ID {id}"));
    let who = sent.user.as_deref().unwrap_or("nobody whom the API server knows");
    let as_whom = sent.impersonated.iter().map(|whom| format!("as {}", user(whom)));
    let body = sent.body.then(|| "with a body".to_owned());
    let about =
        std::iter::once(format!("by {who}")).chain(as_whom).chain(verb).chain(id).chain(body);
    vec![format!("{} {}", sent.method, sent.uri), about.collect::<Vec<_>>().join(", ")]
}

fn answer_lines(answer: &Answer) -> Vec<String> {
    let first = answered(answer);
    let rest = match answer {
        Answer::Http(response) => vec![response_words(response)],
        Answer::Stream(stream) => {
            let closing = stream.closing.as_ref().map(|closing| {
                format!("{} {}", closing.status, closing.message.as_deref().unwrap_or_default())
            });
            let echoed = stream.echoed.then(|| "the line that was typed came back".to_owned());
            let named = |name: &str, text: &String| {
                (!text.is_empty()).then(|| format!("{name}: {}", text.trim_end()))
            };
            let outputs = [named("stdout", &stream.stdout), named("stderr", &stream.stderr)];
            outputs.into_iter().flatten().chain(echoed).chain(closing).collect()
        }
        Answer::Through(Through { workload, pod }) => {
            vec![response_words(workload), response_words(pod)]
        }
        Answer::Worked(output) => vec![output.trim_end().to_owned()],
        Answer::Nothing(silence) => vec![silence.text.clone()],
        Answer::Storage(storage) => {
            let plain = format!("{} in plain text", storage.plain_count);
            let canary = format!("{} with the value that was looked for", storage.canary_count);
            let below = format!("{} below the prefix, {plain}, {canary}", storage.below_prefix);
            std::iter::once(below)
                .chain(storage.plain.clone())
                .chain(storage.canary.clone())
                .collect()
        }
        Answer::AuditLog(searched) => {
            let leak = |it: &Leak| {
                format!(
                    "{:?} {} {} by {}, Audit-ID {}",
                    it.level, it.verb, it.resource, it.user, it.audit_id
                )
            };
            let count = format!("events that hold the value: {}", searched.leaks);
            std::iter::once(count).chain(searched.first.iter().map(leak)).collect()
        }
        Answer::Grants(granted) => {
            let allowed = granted.allowed.iter().map(|it| format!("may: {it}"));
            allowed
                .chain(granted.others.iter().map(|it| format!("may not, and may: {it}")))
                .collect()
        }
        Answer::Review(reviewed) => {
            let flaw = |it: &Flaw| format!("{}: {}", it.words(), it.follows);
            let unread = reviewed.unread.iter().map(|it| format!("not read: {it}"));
            let more = (reviewed.more > 0).then(|| format!("and {} more", reviewed.more));
            reviewed.flaws.iter().map(flaw).chain(more).chain(unread).collect()
        }
        Answer::Rights(held) => {
            let holding = |it: &Holding| {
                let expired = it.expired.iter().map(|at| format!(", expired {at}"));
                let expired: String = expired.collect();
                format!(
                    "{} may {} {} ({}){expired}",
                    it.who,
                    it.rights.join(", "),
                    it.place,
                    it.reason
                )
            };
            let own = format!("{} as its file says", held.own);
            let unanswered = held.unanswered.iter().map(|it| format!("no answer: {it}"));
            std::iter::once(own).chain(held.others.iter().map(holding)).chain(unanswered).collect()
        }
    };
    std::iter::once(first).chain(rest).filter(|line| !line.is_empty()).collect()
}

fn response_words(response: &Response) -> String {
    let reason = response.reason.iter().map(|reason| format!("{reason}: "));
    let kind = response.kind.iter().map(|kind| match response.count {
        Some(count) => format!("{kind} with {count} items"),
        None => kind.clone(),
    });
    let without = if response.without_id { "(without the Audit-ID) " } else { "" };
    format!(
        "{without}{}{}{}",
        reason.collect::<String>(),
        response.words(),
        kind.collect::<String>()
    )
}

fn decided(decision: &Decision) -> Vec<String> {
    match decision {
        Decision::LetIn => vec!["nobody refused".to_owned()],
        Decision::Denied(denial) => vec![format!("{}: {}", denial.layer, denial.message)],
        Decision::Unclear(why) => vec![format!("unclear: {why}")],
        Decision::Read => vec!["read, and not attacked".to_owned()],
    }
}

fn seen(effect: &Effect) -> Vec<String> {
    match effect {
        Effect::NotApplicable => Vec::new(),
        Effect::Absent => vec!["looked, and nothing is there".to_owned()],
        Effect::Present(what) => vec![format!("there: {what}")],
        Effect::Changed(what) => vec![what.clone()],
        Effect::Gone(what) => vec![format!("gone: {what}")],
    }
}

fn logged(log: &Log) -> Vec<String> {
    match log {
        Log::NotApplicable => Vec::new(),
        Log::Unreadable(why) => vec![format!("it cannot be read: {why}")],
        Log::Disabled => vec!["the API server writes none".to_owned()],
        Log::Read { events, traces, fence } => {
            let none = format!(
                "no event, and the marked request {fence} that was sent afterwards is there"
            );
            let none = events.is_empty().then_some(none);
            let own = events.iter().map(event);
            let others = traces.iter().map(|it| format!("on its behalf: {}", event(it)));
            none.into_iter().chain(own).chain(others).collect()
        }
    }
}

/// `ResponseComplete at RequestResponse: get pods/exec by system:…, 403; with the request's body; podsecurity…=…`
fn event(event: &Event) -> String {
    let object = event.object_ref.as_ref().map(|object| {
        let sub = if object.subresource.is_empty() { "" } else { "/" };
        let name = if object.name.is_empty() { String::new() } else { format!(" {}", object.name) };
        format!(" {}{sub}{}{name}", object.resource, object.subresource)
    });
    let object = object.unwrap_or_else(|| format!(" {}", event.request_uri));
    let code = event.response_status.as_ref().map(|status| format!(", {}", status.code));
    let whom = event.impersonated_user.as_ref().map(|user| format!(" as {}", user.username));
    let bodies = [(event.request_object, "the request"), (event.response_object, "the answer")];
    let bodies = bodies.into_iter().filter(|(is_there, _)| *is_there);
    let bodies = bodies.map(|(_, whose)| format!("; with the body of {whose}"));
    let notes = event.annotations.iter().map(|(key, value)| format!("; {key}={value}"));
    format!(
        "{} at {:?}: {}{object} by {}{}{}{}{}",
        event.stage,
        event.level,
        event.verb,
        event.user.username,
        whom.unwrap_or_default(),
        code.unwrap_or_default(),
        bodies.collect::<String>(),
        notes.collect::<String>(),
    )
}
