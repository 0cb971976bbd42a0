//! What is sent, in a few words for people.

use crate::model::Action;

/// An action in a few words: ``exec `probe cat` with stdin``.
pub(crate) fn action_words(action: &Action) -> String {
    match action {
        Action::Exec(exec) => {
            let streams = streams(exec.stdin, exec.tty);
            let container = place("container", &exec.container);
            format!(
                "exec `{}`{}{container}{streams}",
                exec.command.join(" "),
                place("in", &exec.pod)
            )
        }
        Action::Attach(attach) => {
            let streams = streams(attach.stdin, attach.tty);
            let container = place("container", &attach.container);
            format!("attach{}{container}{streams}", place("to", &attach.pod))
        }
        Action::PortForward(forward) => {
            format!("port-forward{}", place("to", &forward.pod))
        }
        Action::Ephemeral(ephemeral) => {
            format!("a debug container{}", place("in namespace", &ephemeral.namespace))
        }
        Action::Pod(pod) => match pod.through {
            Some(workload) => format!("a pod through a {workload:?}"),
            None => "a pod".to_owned(),
        },
        Action::Request(request) => {
            format!("`{} {}`", format!("{:?}", request.method).to_uppercase(), request.path)
        }
        Action::Connect(connect) => {
            format!("TCP from {} to {}, port {}", connect.from, connect.to, connect.port)
        }
        Action::Resolve(resolve) => format!("DNS from {}: `{}`", resolve.from, resolve.name),
        Action::Kubelet(kubelet) => {
            let method = format!("{:?}", kubelet.method).to_uppercase();
            format!("kubelet:{} `{method} {}`", kubelet.port, kubelet.path)
        }
        Action::Etcd(etcd) => format!("a read of etcd below `{}`", etcd.prefix),
        Action::AuditLog(_) => "a search of the audit log for a Secret's value".to_owned(),
        Action::Review(review) => format!("a review of {}", review.words()),
        Action::Grants(grants) => {
            let what = grants.resource.as_ref().or(grants.url.as_ref());
            format!("a review of who may {} {}", grants.verb, what.map_or("", String::as_str))
        }
        Action::Rights(rights) => match &rights.to {
            Some(right) => {
                let place = place("in", &right.r#in);
                format!("the question whether {} may {right}{place}", rights.of)
            }
            None => format!("every question about what {} may", rights.of),
        },
    }
}

fn place(preposition: &str, name: &Option<String>) -> String {
    name.as_ref().map(|name| format!(" {preposition} {name}")).unwrap_or_default()
}

fn streams(stdin: bool, tty: bool) -> &'static str {
    match (stdin, tty) {
        (false, false) => "",
        (true, false) => " with stdin",
        (false, true) => " with a terminal",
        (true, true) => " with stdin and a terminal",
    }
}
