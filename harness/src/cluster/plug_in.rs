//! Plug-ins for credentials, which a kubeconfig names: other people's programs that kube runs when it needs
//! credentials, and waits for however long they take. So kube is told to run us, and we run them: without a terminal,
//! with a deadline, and ended with all that they have started. When they are asked again stays kube's to know.

use std::fmt;
use std::io;
use std::time::Duration;

use kube::client::AuthError;
use kube::config::{ExecConfig, ExecInteractiveMode};
use rustix::process::setsid;
use serde_json::{Map, Value, json};
use tokio::io::AsyncReadExt;
use tower::BoxError;

use super::ProcessError;
use super::access::is_bearer;
use super::process::{Outside, own_executable};
use super::supervisor::tie_to;
use crate::catalog::documents;
use crate::text::without_credentials;

/// How many seconds a plug-in may take. A cloud's own takes one or two.
const ANSWERING: u64 = 30;

/// How many bytes credentials may have.
const LARGEST: u64 = 1 << 20;

/// A plug-in for credentials, and how it is run: what `brinell plug-in` takes.
#[derive(Debug, clap::Args)]
pub struct PlugIn {
    /// Seconds that it may take
    #[arg(long, default_value_t = ANSWERING)]
    within: u64,
    /// The process that needs the credentials
    asker: i32,
    /// The program
    program: String,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// A plug-in gave no credentials.
#[derive(Debug, thiserror::Error)]
pub enum PlugInError {
    /// It did not end, or not well.
    #[error(
        "the plug-in for credentials {0}; it has no terminal and nothing on standard input, so it must not ask anything"
    )]
    Process(#[from] ProcessError),
    /// What it printed is something else. It is not shown: it may be a token.
    #[error(
        "the plug-in for credentials `{program}` printed no ExecCredential with a token of one line, or with a \
         certificate and its key"
    )]
    NoCredentials {
        /// The program.
        program: String,
    },
    /// It could not be separated from our terminal, or whoever asked has ended.
    #[error("the plug-in for credentials `{program}` was not started: {cause}")]
    NotStarted {
        /// The program.
        program: String,
        /// Why not.
        cause: io::Error,
    },
}

impl PlugIn {
    /// Runs it and returns the credentials that it printed.
    ///
    /// # Errors
    /// When it does not end in time or not well, or prints something else.
    pub async fn run(self) -> Result<Vec<u8>, PlugInError> {
        let PlugIn { within, asker, program, arguments } = self;
        let not_started = |cause| PlugInError::NotStarted { program: program.clone(), cause };
        tie_to(asker).map_err(not_started)?;
        // Without a session of ours it could still open the terminal, and ask there.
        setsid().map_err(|error| not_started(error.into()))?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let plug_in = Outside::new(&program, &arguments).with_secret_arguments();
        let printed = plug_in.read(Duration::from_secs(within), async |stdout| {
            let mut printed = Vec::new();
            // A pipe that breaks ends like one that is closed: then the credentials are not whole.
            let _ = stdout.take(LARGEST).read_to_end(&mut printed).await;
            printed
        });
        let printed = printed.await?;
        credential(&printed).ok_or(PlugInError::NoCredentials { program })
    }
}

/// The credentials in what a plug-in printed
/// (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#input-and-output-formats>), in a document of our
/// own: kube shows the lines of one that it cannot read, and takes one without credentials for a caller that needs none.
/// `None` if there are none.
fn credential(printed: &[u8]) -> Option<Vec<u8>> {
    let documents = documents(std::str::from_utf8(printed).ok()?).ok()?;
    let [credential] = documents.as_slice() else { return None };
    let text = |field: &str| credential["status"][field].as_str().filter(|it| !it.is_empty());
    let token = text("token").filter(|token| is_bearer(token));
    let certificate = text("clientCertificateData").zip(text("clientKeyData"));
    if credential["kind"] != "ExecCredential" || token.is_none() && certificate.is_none() {
        return None;
    }
    let fields = [
        ("token", token),
        ("clientCertificateData", certificate.map(|(certificate, _)| certificate)),
        ("clientKeyData", certificate.map(|(_, key)| key)),
        ("expirationTimestamp", text("expirationTimestamp")),
    ];
    let given = fields.into_iter().filter_map(|(field, it)| Some((field.to_owned(), it?.into())));
    let status: Map<String, Value> = given.collect();
    Some(json!({"kind": "ExecCredential", "status": status}).to_string().into_bytes())
}

/// Makes kube run the plug-in of a kubeconfig by us.
pub(super) fn run_by_us(plug_in: &mut ExecConfig) -> io::Result<()> {
    // Without a program kube says so itself.
    let Some(program) = plug_in.command.take() else { return Ok(()) };
    let arguments = plug_in.args.take().unwrap_or_default();
    let asker = std::process::id().to_string();
    let ours = ["plug-in".to_owned(), asker, "--".to_owned(), program];
    plug_in.command = Some(own_executable()?.to_string_lossy().into_owned());
    plug_in.args = Some(ours.into_iter().chain(arguments).collect());
    plug_in.interactive_mode = Some(ExecInteractiveMode::Never);
    Ok(())
}

/// What we said of a plug-in that gave no credentials.
#[derive(Debug)]
struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

/// Whether an error says that there are no credentials. To ask again would have a plug-in log in again and again.
pub(super) fn is_without_credentials(error: &BoxError) -> bool {
    error.is::<Said>() || error.is::<AuthError>()
}

/// An error of kube's without the command and the environment of a plug-in, and without what it printed: there may be
/// secrets in them.
pub(super) fn without_command(error: BoxError) -> BoxError {
    match error.downcast_ref::<AuthError>() {
        Some(AuthError::AuthExecRun { out, .. }) => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said = said.trim().trim_start_matches("error: ");
            Box::new(Said(without_credentials(said)))
        }
        Some(AuthError::AuthExecParse(_) | AuthError::MalformedTokenExpirationDate(_)) => {
            Box::new(Said("what the plug-in for credentials printed cannot be read".to_owned()))
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kube_shows_of_what_a_plug_in_printed_is_left_out() {
        let unread = serde_saphyr::from_str::<bool>("s3cr3t").expect_err("no bool");
        assert!(unread.to_string().contains("s3cr3t"), "{unread}");
        let undated = "s3cr3t".parse::<k8s_openapi::jiff::Timestamp>().expect_err("no time");
        for error in [
            AuthError::AuthExecParse(Box::new(unread)),
            AuthError::MalformedTokenExpirationDate(undated),
        ] {
            let shown = without_command(error.into());
            assert!(!shown.to_string().contains("s3cr3t"), "{shown}");
            assert!(is_without_credentials(&shown), "{shown}");
        }
    }
}
