//! The vendors' envelopes, laid around events that API servers wrote.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::detect::detect;
use crate::audit::AuditLog;
use crate::model::{Event, LogFormat, Part};

/// The run of the recorded exchanges.
const RUN: &str = "record";
const CANARY: &str = "c4n4ry";

/// Events of recorded exchanges, as an API server writes them.
fn recorded() -> Vec<Value> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fast/corpus/1.36");
    let names =
        ["authorization-get", "webhook-forbidden", "pod-security-several", "authentication-none"];
    let events = names.iter().flat_map(|name| {
        let text = std::fs::read_to_string(corpus.join(format!("{name}.json"))).expect("recorded");
        let mut exchange: Value = serde_json::from_str(&text).expect("JSON");
        exchange["log"]["read"]["events"].as_array_mut().map(std::mem::take).expect("events")
    });
    events.map(as_written).collect()
}

/// A body is either there or not, and its presence is all that is recorded.
fn as_written(mut event: Value) -> Value {
    let fields = event.as_object_mut().expect("an event");
    fields.insert("kind".to_owned(), "Event".into());
    fields.insert("apiVersion".to_owned(), "audit.k8s.io/v1".into());
    for body in ["requestObject", "responseObject"] {
        if fields.remove(body) == Some(Value::Bool(true)) {
            fields.insert(body.to_owned(), json!({"kind": "Pod", "metadata": {"labels": {}}}));
        }
    }
    event
}

fn event(id: &str) -> Value {
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "auditID": id,
        "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/a/pods?x={[\"", "verb": "create",
        "user": {"username": "ann", "groups": ["dev"]},
        "objectRef": {"resource": "pods", "namespace": "a"},
        "responseStatus": {"code": 403, "reason": "Forbidden", "message": "pods \"p\" is forbidden: no"},
        "requestObject": {"kind": "Pod", "metadata": {"name": "p"}},
        "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    })
}

fn eks_entry(message: &str) -> Value {
    json!({
        "logStreamName": "kube-apiserver-audit-0a", "timestamp": 1, "message": message,
        "ingestionTime": 2, "eventId": "3",
    })
}

fn aks_record(log: &str) -> Value {
    json!({
        "category": "kube-audit", "operationName": "Microsoft.ContainerService/x",
        "properties": {"log": log, "stream": "stdout", "pod": "kube-apiserver-1", "containerID": "c"},
        "resourceId": "/SUBSCRIPTIONS/X", "time": "2026-01-01T00:00:00Z",
    })
}

/// Every value as a text, as `az` prints it.
fn aks_row(event: &Value) -> Value {
    let text = |value: &Value| match value {
        Value::Null => "None".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let columns = [
        ("Annotations", "annotations"),
        ("AuditId", "auditID"),
        ("Level", "level"),
        ("ObjectRef", "objectRef"),
        ("RequestObject", "requestObject"),
        ("RequestReceivedTime", "requestReceivedTimestamp"),
        ("RequestUri", "requestURI"),
        ("ResponseObject", "responseObject"),
        ("ResponseStatus", "responseStatus"),
        ("Stage", "stage"),
        ("User", "user"),
        ("UserAgent", "userAgent"),
        ("Verb", "verb"),
    ];
    let row = columns.map(|(column, field)| (column.to_owned(), text(&event[field]).into()));
    let mut row: serde_json::Map<String, Value> = row.into_iter().collect();
    row.insert("PodName".to_owned(), "kube-apiserver-1".into());
    Value::Object(row)
}

/// An entry as `gcloud` prints it, of an exec in which the API server answers 101.
fn gke_entry(id: &str) -> Value {
    json!({
        "insertId": id, "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
        "labels": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        "operation": {"id": id, "producer": "k8s.io", "first": true},
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "serviceName": "k8s.io", "methodName": "io.k8s.core.v1.pods.exec.create",
            "resourceName": "core/v1/namespaces/a/pods/p/exec",
            "status": {"code": 2, "message": "UNKNOWN"},
            "authenticationInfo": {"principalEmail": "ann@example.com"},
            "requestMetadata": {"callerIp": "192.0.2.1", "callerSuppliedUserAgent": "brinell"},
        },
        "timestamp": "2026-01-01T00:00:00.000000Z",
        "receiveTimestamp": "2026-01-01T00:00:09.000000Z",
    })
}

/// The ways in which a list of elements is laid out.
fn layouts(list: &str, elements: &[Value]) -> Vec<String> {
    let array = Value::Array(elements.to_vec());
    let before = json!({"nextToken": "a]}", "searchedLogStreams": [{"logStreamName": "x"}]});
    let behind = format!("{{{:?}: {array}, {}", list, &before.to_string()[1..]);
    let lines = |end: &str| elements.iter().map(|it| format!("{it}{end}")).collect::<String>();
    vec![
        lines("\n"),
        lines(" "),
        array.to_string(),
        format!("{array:#}\n"),
        format!("[\n{}\n]", elements.iter().map(Value::to_string).collect::<Vec<_>>().join(",\n")),
        json!({list: array}).to_string(),
        format!("{:#}", json!({"a": [{"b": 1}], list: array, "z": [{"y": "}"}]})),
        behind,
        format!("[{0:#},\n{0}]", json!({list: array})),
    ]
}

async fn read(text: &str, format: Option<LogFormat>) -> AuditLog {
    let log = AuditLog::new(RUN, CANARY).in_format(format);
    log.read(text.as_bytes()).await;
    log
}

fn as_read(event: &Value, unshown: &[Part]) -> Event {
    let mut event: Event = serde_json::from_value(event.clone()).expect("an event");
    event.unshown = unshown.iter().copied().collect();
    event
}

async fn assert_reads(text: &str, known: LogFormat, events: &[Value], unshown: &[Part]) {
    for format in [Some(known), None] {
        let log = read(text, format).await;
        for event in events {
            let id = event["auditID"].as_str().expect("an id");
            let found: Vec<Event> = log.events(id);
            assert!(found.contains(&as_read(event, unshown)), "{format:?} {id}: {found:?}\n{text}");
        }
        assert_eq!(log.skipped_lines(), 0, "{format:?}: {text}");
        assert_eq!(log.leaks().unsearched, 0, "{format:?}: {text}");
        // Where the format is found out, as where it is named.
        let keeps_order = [LogFormat::Kubernetes, LogFormat::OpenShift].contains(&known);
        assert_eq!(log.is_in_order(), keeps_order, "{format:?}: {text}");
        assert_eq!(log.disorder().is_none(), keeps_order, "{format:?}: {text}");
        assert_eq!(log.of_several().is_in_order_of_each(), keeps_order, "{format:?}: {text}");
    }
}

#[tokio::test]
async fn events_come_out_of_each_envelope_as_the_api_server_wrote_them() {
    let events = recorded();
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    let entries: Vec<Value> = texts.iter().map(|text| eks_entry(text)).collect();
    for text in layouts("events", &entries) {
        assert_reads(&text, LogFormat::Eks, &events, &[]).await;
    }
    let records: Vec<Value> = texts.iter().map(|text| aks_record(&format!("{text}\n"))).collect();
    for text in layouts("records", &records) {
        assert_reads(&text, LogFormat::Aks, &events, &[]).await;
    }
    let rows: Vec<Value> = events.iter().map(aks_row).collect();
    let mut rows = layouts("", &rows);
    rows.truncate(5);
    for text in rows {
        assert_reads(&text, LogFormat::AksTable, &events, &[Part::Impersonation]).await;
    }
    let lines =
        |before: &str| texts.iter().map(|text| format!("{before}{text}\n")).collect::<String>();
    assert_reads(&lines(""), LogFormat::Kubernetes, &events, &[]).await;
    assert_reads(&lines("ip-10-0-1-2.internal "), LogFormat::OpenShift, &events, &[]).await;
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": events});
    assert_reads(&format!("{list}\n"), LogFormat::Kubernetes, &events, &[]).await;
}

#[tokio::test]
async fn lines_without_a_node_are_read_as_those_with_one() {
    let text = format!("{}\n", event("record-1"));
    assert_eq!(read(&text, Some(LogFormat::OpenShift)).await.events("record-1").len(), 1);
}

#[test]
fn a_time_before_an_event_is_no_node() {
    let line = |word: &str| format!("{word} {}\n", event("record-1"));
    assert_eq!(detect(line("10.0.0.7").as_bytes()).expect("a node"), LogFormat::OpenShift);
    for word in ["2026-01-01T00:00:00", "2026-01-01T00:00:00.000000+00:00 kube-apiserver-audit-0a"]
    {
        assert!(detect(line(word).as_bytes()).is_err(), "{word}");
    }
}

#[tokio::test]
async fn a_body_of_the_kind_of_a_list_is_no_list() {
    let mut event = event("record-1");
    event["requestObject"] =
        json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": []});
    let log = read(&format!("{event}\n"), Some(LogFormat::Kubernetes)).await;
    assert!(log.events("record-1")[0].request_object);
}

#[tokio::test]
async fn of_an_entry_of_gke_what_is_not_there_is_not_shown() {
    let unshown = |log: &AuditLog| log.events("record-1")[0].unshown.clone();
    let never = [Part::Level, Part::Stage, Part::Uri, Part::Groups, Part::Impersonation];
    let mut entry = gke_entry("record-1");
    for text in layouts("entries", std::slice::from_ref(&entry)) {
        let log = read(&text, None).await;
        let events = log.events("record-1");
        let event = &events[0];
        assert_eq!(event.unshown, never.into_iter().chain([Part::Code, Part::Words]).collect());
        assert_eq!(
            (event.verb.as_str(), event.user.username.as_str()),
            ("create", "ann@example.com")
        );
        let object = event.object_ref.as_ref().expect("an object");
        assert_eq!(
            [
                &object.resource,
                &object.subresource,
                &object.namespace,
                &object.name,
                &object.api_group
            ],
            ["pods", "exec", "a", "p", ""]
        );
        let status = event.response_status.as_ref().expect("a status");
        assert_eq!(
            (status.code, status.reason.as_str(), status.is_success()),
            (0, "UNKNOWN", false)
        );
        assert_eq!(event.annotations["authorization.k8s.io/decision"], "allow");
    }
    entry["protoPayload"]["response"] = json!({
        "@type": "core.k8s.io/v1.Status", "kind": "Status", "code": 403, "reason": "Forbidden",
        "message": "no", "status": "Failure",
    });
    let log = read(&entry.to_string(), None).await;
    assert_eq!(unshown(&log), never.into());
    let status = log.events("record-1")[0].response_status.clone().expect("a status");
    assert_eq!((status.code, status.message.as_str()), (403, "no"));
    // The Status of what worked has no code.
    entry["protoPayload"]["response"] = json!({"kind": "Status", "status": "Success"});
    entry["protoPayload"]["status"] = json!({});
    entry["protoPayload"]["authenticationInfo"] = json!({});
    entry.as_object_mut().expect("an entry").remove("labels");
    let log = read(&entry.to_string(), None).await;
    let more = [Part::Code, Part::Words, Part::User, Part::Annotations];
    assert_eq!(unshown(&log), never.into_iter().chain(more).collect());
    assert!(log.events("record-1")[0].response_status.as_ref().is_some_and(|it| it.is_success()));
}

#[tokio::test]
async fn of_a_path_without_a_resource_gke_names_no_object() {
    let mut entry = gke_entry("record-1");
    entry["protoPayload"]["methodName"] = "io.k8s.get".into();
    entry["protoPayload"]["resourceName"] = "apis/apps/v1".into();
    let log = read(&entry.to_string(), None).await;
    assert_eq!(log.events("record-1")[0].object_ref, None);
    assert_eq!(log.events("record-1")[0].verb, "get");
}

#[tokio::test]
async fn controllers_are_known_in_every_format() {
    for controller in [
        "system:serviceaccount:kube-system:replicaset-controller",
        "system:kube-controller-manager",
    ] {
        let label = json!({"metadata": {"labels": {"brinell.dev/attempt": "record-1"}}});
        let mut made = event("other");
        made["user"]["username"] = controller.into();
        made["requestObject"] = label.clone();
        let mut entry = gke_entry("other");
        entry["protoPayload"]["methodName"] = "io.k8s.core.v1.pods.create".into();
        entry["protoPayload"]["resourceName"] = "core/v1/namespaces/a/pods/p".into();
        entry["protoPayload"]["authenticationInfo"]["principalEmail"] = controller.into();
        entry["protoPayload"]["request"] = label;
        for element in
            [eks_entry(&made.to_string()), aks_record(&made.to_string()), aks_row(&made), entry]
        {
            let traces = read(&element.to_string(), None).await.traces(|_| true);
            assert_eq!(traces.len(), 1, "{element}");
            assert_eq!(traces[0].attempt.as_deref(), Some("record-1"), "{element}");
        }
    }
}

#[tokio::test]
async fn a_column_that_a_query_leaves_out_is_not_shown() {
    for (column, parts) in [
        ("Level", vec![Part::Level]),
        ("Stage", vec![Part::Stage]),
        ("Verb", vec![Part::Verb]),
        ("RequestUri", vec![Part::Uri]),
        ("User", vec![Part::User, Part::Groups]),
        ("ObjectRef", vec![Part::Object]),
        ("ResponseStatus", vec![Part::Code, Part::Words]),
        ("Annotations", vec![Part::Annotations]),
        ("RequestObject", vec![Part::RequestBody]),
        ("ResponseObject", vec![Part::AnswerBody]),
    ] {
        let mut row = aks_row(&event("record-1"));
        row.as_object_mut().expect("a row").remove(column);
        let log = read(&row.to_string(), Some(LogFormat::AksTable)).await;
        let unshown = parts.iter().copied().chain([Part::Impersonation]).collect();
        assert_eq!(log.events("record-1")[0].unshown, unshown, "{column}");
        let is_body = column.ends_with("Object");
        assert_eq!(log.leaks().unsearched, u64::from(is_body), "{column}");
    }
    for column in ["AuditId", "RequestReceivedTime"] {
        let mut row = aks_row(&event("record-1"));
        row.as_object_mut().expect("a row").remove(column);
        let log = read(&row.to_string(), Some(LogFormat::AksTable)).await;
        assert_eq!((log.events("record-1").len(), log.skipped_lines()), (0, 1), "{column}");
    }
    let mut row = aks_row(&event("record-1"));
    row["ResponseStatus"] = "{'code': 403}".into();
    let log = read(&row.to_string(), Some(LogFormat::AksTable)).await;
    assert!(!log.events("record-1")[0].shows(Part::Code), "no JSON");
}

#[tokio::test]
async fn a_body_that_azure_left_out_is_not_shown_and_not_searched() {
    let mut event = event("record-1");
    event["requestObject"] = super::inner::TOO_BIG.into();
    for element in [aks_record(&event.to_string()), aks_row(&event)] {
        let log = read(&element.to_string(), None).await;
        let read = &log.events("record-1")[0];
        assert!(!read.request_object && !read.shows(Part::RequestBody), "{element}");
        assert_eq!(log.leaks().unsearched, 1, "{element}");
    }
}

#[tokio::test]
async fn what_is_cut_or_no_event_is_counted_and_the_rest_is_read() {
    let whole = |id: &str| event(id).to_string();
    let cut = &whole("record-2")[..90];
    let klog = "I0101 00:00:00.000000       1 trace.go:236] {\"a\"} record-9\n";
    let truncated = format!("{cut}[Truncated...]");
    let entries = [&whole("record-1"), &truncated, klog, &whole("record-3")].map(eks_entry);
    let records = [&whole("record-1"), cut, klog, &whole("record-3")].map(aks_record);
    let all = [layouts("events", &entries), layouts("records", &records)];
    for text in all.iter().flat_map(|texts| &texts[..8]) {
        let log = read(text, None).await;
        assert_eq!(log.events("record-1").len(), 1, "{text}");
        assert_eq!(log.events("record-3").len(), 1, "{text}");
        // The line beside the events names the run, and is none.
        assert_eq!((log.skipped_lines(), log.leaks().unsearched), (2, 1), "{text}");
    }
    for noise in [
        "null",
        "12",
        "\"a}\"",
        "{}",
        "{\"message\": 3}",
        "[[]]x",
        "{]",
        "{\"message\":\"\\ud800\"}",
    ] {
        let [first, last] = ["record-1", "record-3"].map(|id| eks_entry(&whole(id)));
        let text = format!("[{first},{noise},{last}]");
        let log = read(&text, Some(LogFormat::Eks)).await;
        assert_eq!(log.events("record-1").len(), 1, "{noise}");
        assert_eq!(log.events("record-3").len(), 1, "{noise}");
        assert_eq!(log.skipped_lines(), 1, "{noise}");
    }
    let text = format!(
        "WARNING: a new version\n{}\n]}}{{\n{}",
        eks_entry(&whole("record-1")),
        eks_entry(&whole("record-3"))
    );
    let log = read(&text, None).await;
    assert_eq!((log.events("record-1").len(), log.events("record-3").len()), (1, 1));
    assert_eq!(log.skipped_lines(), 2);
}

#[tokio::test]
async fn hostile_elements_take_no_more_than_the_longest_line() {
    use crate::audit::pieces::LONGEST_LINE;
    let last = eks_entry(&event("record-3").to_string());
    for long in ["[".repeat(LONGEST_LINE + 9), format!("\"{}\"", "x".repeat(LONGEST_LINE + 9))] {
        let close = "]".repeat(long.matches('[').count());
        let text = format!("{{\"message\":{long}{close}}}\n{last}");
        let log = read(&text, Some(LogFormat::Eks)).await;
        assert_eq!(log.events("record-3").len(), 1);
        assert_eq!((log.skipped_lines(), log.leaks().unsearched), (1, 1));
    }
    let deep = format!("{{\"message\":{}{}}}", "[".repeat(9999), "]".repeat(9999));
    let log = read(&format!("[{deep},{last}]"), Some(LogFormat::Eks)).await;
    assert_eq!((log.events("record-3").len(), log.skipped_lines()), (1, 1));
}

#[tokio::test]
async fn the_canary_is_found_within_texts_within_texts() {
    let encoded = crate::text::base64(CANARY.as_bytes());
    for secret in [CANARY, &encoded] {
        let mut leak = event("other");
        leak["requestObject"] = json!({"data": {"value": secret}});
        let mut gke = gke_entry("other");
        gke["protoPayload"]["request"] = leak["requestObject"].clone();
        let mut beside = eks_entry("no event");
        beside["logStreamName"] = secret.into();
        let line = leak.to_string();
        let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [leak]});
        for (text, named) in [
            (eks_entry(&line).to_string(), 1),
            (eks_entry(&line).to_string().replace('/', "\\/"), 1),
            (aks_record(&line).to_string(), 1),
            (aks_row(&leak).to_string(), 1),
            (gke.to_string(), 1),
            (format!("{list}\n"), 1),
            (format!("node {line}\n"), 1),
            (beside.to_string(), 0),
            (eks_entry(&line[..line.len() - 3]).to_string(), 0),
        ] {
            let leaks = read(&text, None).await.leaks();
            assert_eq!((leaks.count, leaks.first.len()), (1, named), "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_delivered_twice_counts_once() {
    let mut leak = event("record-1");
    leak["requestObject"] = json!({"data": CANARY});
    let controller = "system:serviceaccount:kube-system:replicaset-controller";
    let mut trace = event("other");
    trace["user"]["username"] = controller.into();
    trace["responseStatus"]["message"] = "pods \"attack-record-1-x\" is forbidden: no".into();
    let document = json!({"events": [eks_entry(&leak.to_string()), eks_entry(&trace.to_string())]});
    let log = read(&format!("{document:#}\n{document}"), None).await;
    assert_eq!(log.events("record-1").len(), 1);
    assert_eq!(log.traces(|_| true).len(), 1);
    assert_eq!((log.leaks().count, log.leaks().first.len()), (1, 1));
}

#[tokio::test]
async fn different_events_of_one_request_stay() {
    let first = event("record-1");
    let others = [
        ("/stage", json!("RequestReceived")),
        ("/requestURI", json!("/api/v1/secrets")),
        ("/requestReceivedTimestamp", json!("2026-01-01T00:00:00.000001Z")),
        ("/responseStatus/code", json!(200)),
    ];
    for (pointer, value) in others {
        let mut other = first.clone();
        *other.pointer_mut(pointer).expect("a field") = value;
        let log = read(&format!("{first}\n{other}\n{first}\n"), None).await;
        assert_eq!(log.events("record-1").len(), 2, "{pointer}");
    }
}

#[tokio::test]
async fn a_format_that_cannot_be_told_ends_the_log_with_the_choices() {
    let secret = "a-password";
    let text = format!("{{\"first\": \"{secret}\", \"second\": 2}}\n");
    let log = read(&text, None).await;
    let why = log.gone().await;
    assert_eq!(
        why,
        "the audit log can no longer be read: the format of the audit log cannot be told: its first object has \
         the fields first, second; name it as one of kubernetes, eks, aks, aks-table, gke, openshift"
    );
    let none = detect(b"[]").expect_err("no element").to_string();
    assert!(none.contains("no object with a field was seen"), "{none}");
}

#[tokio::test]
async fn entries_of_another_format_than_is_named_are_told() {
    let entries = [gke_entry("record-1"), gke_entry("record-2")];
    for text in layouts("entries", &entries) {
        let told = read(&text, Some(LogFormat::Eks)).await.misread();
        // An envelope of another format is one entry.
        let is_told = told.as_deref().is_some_and(|told| {
            told.ends_with(" entries could not be read in the format eks") && !told.starts_with('0')
        });
        assert!(is_told, "{told:?}: {text}");
        assert_eq!(read(&text, Some(LogFormat::Gke)).await.misread(), None, "{text}");
    }
    let log = AuditLog::new(RUN, CANARY).in_format(Some(LogFormat::Eks));
    for _ in 0..2 {
        // A command prints everything anew.
        log.read_through(json!(entries).to_string().as_bytes()).await.expect("read");
        let told = "2 of 2 entries could not be read in the format eks";
        assert_eq!(log.misread().as_deref(), Some(told));
    }
}

#[tokio::test]
async fn what_has_no_entries_yet_needs_no_format() {
    for nothing in ["", "\n", "[]\n", "\u{feff}[\n]", "{}\n"] {
        let log = AuditLog::new(RUN, CANARY).in_format(None);
        log.read_through(nothing.as_bytes()).await.expect("nothing is missing");
        let entry = json!([eks_entry(&event("record-1").to_string())]).to_string();
        log.read_through(entry.as_bytes()).await.expect("it can be told now");
        assert_eq!(log.events("record-1").len(), 1, "{nothing:?}");
    }
}

#[tokio::test]
async fn a_log_that_begins_late_is_told_when_it_does() {
    let (mut writer, reader) = tokio::io::duplex(16);
    let log = AuditLog::new(RUN, CANARY).in_format(None);
    let reading = log.clone();
    tokio::spawn(async move { reading.read(reader).await });
    let text = format!("[\n{:#}\n]", eks_entry(&event("record-1").to_string()));
    writer.write_all(text.as_bytes()).await.expect("written");
    let patience = std::time::Duration::from_secs(30);
    log.wait_for("record-1", patience).await.expect("it comes while the source is open");
}

/// The ids of the events that are found.
fn found(log: &AuditLog) -> Vec<usize> {
    (0..8).filter(|id| !log.events(&format!("record-{id}")).is_empty()).collect()
}

/// All layouts of a few elements of a format, with where the elements end.
fn documents() -> Vec<(LogFormat, String)> {
    let events: Vec<Value> = (0..4).map(|id| event(&format!("record-{id}"))).collect();
    let texts: Vec<String> = events.iter().map(Value::to_string).collect();
    let eks: Vec<Value> = texts.iter().map(|text| eks_entry(text)).collect();
    let gke: Vec<Value> = (0..4).map(|id| gke_entry(&format!("record-{id}"))).collect();
    let named = |format: LogFormat, list: &str, elements: &[Value]| {
        layouts(list, elements).into_iter().take(8).map(move |text| (format, text)).collect()
    };
    let all: [Vec<(LogFormat, String)>; 2] =
        [named(LogFormat::Eks, "events", &eks), named(LogFormat::Gke, "entries", &gke)];
    all.concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_cut_loses_no_more_than_what_it_cuts(
        which in 0_usize..16,
        cut in 0.0..1.0,
        room in 1_usize..200,
    ) {
        let (format, text) = documents()[which].clone();
        let cut = (text.len() as f64 * cut) as usize;
        let last = match format {
            LogFormat::Gke => format!("{:#}", json!([gke_entry("record-7")])),
            _ => format!("{:#}", json!({"events": [eks_entry(&event("record-7").to_string())]})),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (before, behind, skipped) = runtime.block_on(async {
            let before = read(&text[..cut], Some(format)).await;
            let torn = format!("{}\n{last}", &text[..cut]);
            let (mut writer, reader) = tokio::io::duplex(room);
            let behind = AuditLog::new(RUN, CANARY).in_format(Some(format));
            let write = async move { writer.write_all(torn.as_bytes()).await.expect("written") };
            tokio::join!(write, behind.read(reader));
            (found(&before), found(&behind), before.skipped_lines())
        });
        let whole = (0..4_usize).filter(|id| {
            // An element is whole where the next one has begun.
            let next = text.find(&format!("record-{}", id + 1));
            next.is_some_and(|next| next < cut)
        });
        let whole: Vec<usize> = whole.collect();
        prop_assert!(before.starts_with(&whole), "{before:?} {whole:?}");
        prop_assert!(skipped <= 1, "{skipped}");
        let mut expected = before;
        expected.push(7);
        prop_assert_eq!(behind, expected);
    }

    #[test]
    fn nothing_that_comes_is_too_strange(
        bytes in proptest::collection::vec(prop_oneof![Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b'\\'), Just(b','), Just(b':'), Just(b'\n'), Just(b'a'), any::<u8>()], 0..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let events = eks_entry(&event("record-1").to_string());
        let mut text = bytes;
        text.extend_from_slice(format!("\n{{\"events\": [\n  {events}\n]}}").as_bytes());
        for format in LogFormat::ALL.map(Some).into_iter().chain([None]) {
            let log = AuditLog::new(RUN, CANARY).in_format(format);
            runtime.block_on(log.read(text.as_slice()));
            if format == Some(LogFormat::Eks) {
                prop_assert_eq!(log.events("record-1").len(), 1);
            }
        }
    }
}
