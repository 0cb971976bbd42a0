//! How an existing cluster is found, and why one cannot be reached.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{AuthInfo, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde::{Deserialize, Serialize};

use super::PullSecretError;
use super::files::{self, FileError};
use crate::audit::source::SourceError;
use crate::catalog::did_you_mean;
use crate::cluster::ApplyError;
use crate::cluster::access::has_bearer;
use crate::cluster::kubeconfig;
use crate::cluster::plug_in::run_by_us;
use crate::cluster::proxy::{self, ProxyError};
use crate::model::Context;
use crate::text::api_words;

/// How an existing cluster is found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// By a context of a kubeconfig.
    Context(Context),
    /// By the ServiceAccount of the pod that we run in.
    InCluster,
}

/// An existing cluster cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The kubeconfig.
    #[error("the kubeconfig{} cannot be used: {}", named(.path.as_deref()), kubeconfig::words(.cause))]
    Kubeconfig {
        /// The file; `None` where it is the one that kubectl would read.
        path: Option<PathBuf>,
        /// Why not.
        cause: Box<KubeconfigError>,
    },
    /// The kubeconfig, or a file that it names, cannot be read again and again.
    #[error(transparent)]
    File(#[from] FileError),
    /// The context.
    #[error("the kubeconfig{} has no context `{context}`; {hint}", named(.path.as_deref()))]
    NoContext {
        /// The file; `None` where it is the one that kubectl would read.
        path: Option<PathBuf>,
        /// As it was given.
        context: String,
        /// What may have been meant.
        hint: String,
    },
    /// No pod is around us, or it has no ServiceAccount's token.
    #[error(
        "this is no pod with a ServiceAccount of the cluster, which --in-cluster is for: {0}; elsewhere: --context NAME"
    )]
    NotInCluster(InClusterError),
    /// Its user is somebody else's impersonation.
    #[error(
        "the context {context} acts as somebody else (`as` in its user): brinell impersonates personas itself, and the \
         audit log would name both. Use a context of your own"
    )]
    Impersonates {
        /// The context.
        context: String,
    },
    /// Its user gets credentials by a program of which kubectl knows nothing any more, and which nothing would end.
    #[error(
        "the user of the context {context} has an `auth-provider` with `cmd-path`, which kubectl has not known since 1.26: use \
         `exec`"
    )]
    Provider {
        /// The context.
        context: String,
    },
    /// Its token is none.
    #[error(
        "the token of the context {context} does not fit into a header: expected one line without control characters. In YAML \
         a text after `|` ends with a line break"
    )]
    Token {
        /// The context.
        context: String,
    },
    /// It looks like production.
    #[error(
        "the context {context} looks like production ({word}); attacks are for staging clusters. If it is meant: \
         --allow-production {context}"
    )]
    Production {
        /// The context.
        context: String,
        /// What looks so.
        word: String,
    },
    /// Our own executable, which runs plug-ins for credentials.
    #[error(
        "plug-ins for credentials are run by brinell itself, whose executable is not found: {0}"
    )]
    NoExecutable(io::Error),
    /// The proxy on the way to it cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// What its nodes pull our image with cannot be had.
    #[error(transparent)]
    PullSecret(#[from] PullSecretError),
    /// The log cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The command that prints the log fails.
    #[error("`audit.command`: {0}")]
    AuditCommand(String),
    /// What would be made there cannot be asked about.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The API server does not answer as it should.
    #[error("the cluster of {way} at {server} cannot be used: {}", api_words(cause))]
    Api {
        /// How it was found.
        way: Way,
        /// The API server's address.
        server: String,
        /// Why not.
        cause: Box<kube::Error>,
    },
    /// The namespace that is given for the accounts of personas cannot be used.
    #[error("nothing can be made for personas: {why}")]
    Unfit {
        /// Why not.
        why: String,
    },
    /// Rights are missing that every run needs.
    #[error(
        "{way} acts as {user}, who may not do what every run needs: {}; `brinell plan --rbac SUBJECT` prints roles with \
         all that is needed",
        .missing.join(", ")
    )]
    Unauthorized {
        /// How the cluster was found.
        way: Way,
        /// As whom it acts.
        user: String,
        /// Each right that is missing, with its place.
        missing: Vec<String>,
    },
}

fn named(path: Option<&Path>) -> String {
    path.map(|path| format!(" {}", path.display())).unwrap_or_default()
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Context(Context { context, .. }) => write!(f, "context {context}"),
            Way::InCluster => f.write_str("this pod"),
        }
    }
}

impl Way {
    /// As results name the cluster.
    pub fn name(&self) -> &str {
        match self {
            Way::Context(Context { context, .. }) => context,
            Way::InCluster => "in-cluster",
        }
    }

    /// The kubeconfig that is named; `None` where none is, or none is used.
    pub fn kubeconfig(&self) -> Option<&PathBuf> {
        match self {
            Way::Context(Context { kubeconfig, .. }) => kubeconfig.as_ref(),
            Way::InCluster => None,
        }
    }

    /// The arguments that name it, for a shell.
    pub fn arguments(&self) -> String {
        match self {
            Way::Context(Context { kubeconfig: None, context }) => {
                format!("--context {}", word(context))
            }
            Way::Context(Context { kubeconfig: Some(path), context }) => {
                let path = path.display().to_string();
                format!("--kubeconfig {} --context {}", word(&path), word(context))
            }
            Way::InCluster => "--in-cluster".to_owned(),
        }
    }

    /// This way, as it is found from any folder.
    pub(super) fn absolute(&self) -> io::Result<Way> {
        let mut way = self.clone();
        if let Way::Context(Context { kubeconfig: Some(path), .. }) = &mut way {
            *path = std::path::absolute(&*path)?;
        }
        Ok(way)
    }

    /// The configuration that it is; where its name looks like production only if its context is `allowed`.
    pub(super) async fn config(&self, allowed: Option<&str>) -> Result<Config, ReachError> {
        match self {
            Way::Context(context) => {
                let kubeconfig = read(context)?;
                see_no_production(context, &kubeconfig, allowed)?;
                of_context(context, kubeconfig).await
            }
            // kube reads the token again each minute: a kubelet renews it.
            Way::InCluster => Config::incluster().map_err(ReachError::NotInCluster),
        }
    }

    /// The configuration that it is, whatever its name looks like.
    pub(super) async fn config_allowed(&self) -> Result<Config, ReachError> {
        self.config(Some(self.name())).await
    }
}

/// A text as one word of a shell's.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// The kubeconfig of a context, which has it.
fn read(Context { kubeconfig: path, context }: &Context) -> Result<Kubeconfig, ReachError> {
    let paths = match path {
        Some(path) => vec![path.clone()],
        None => usual(std::env::var_os("KUBECONFIG")),
    };
    paths.iter().try_for_each(|path| files::see_kubeconfig(path))?;
    let read = match path {
        Some(path) => Kubeconfig::read_from(path),
        None => read_usual(&paths),
    };
    let kubeconfig = read.map_err(|cause| unusable(path.as_ref(), cause))?;
    let known = kubeconfig.contexts.iter().map(|context| context.name.as_str());
    if known.clone().any(|name| name == context) {
        return Ok(kubeconfig);
    }
    let hint = did_you_mean(context, known);
    Err(ReachError::NoContext { path: path.clone(), context: context.clone(), hint })
}

/// The files of the variable `KUBECONFIG` that are there, as kubectl reads them; the one in the usual place if it names
/// none.
fn usual(variable: Option<OsString>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = variable.iter().flat_map(std::env::split_paths).collect();
    paths.retain(|path| !path.as_os_str().is_empty());
    if paths.is_empty() {
        paths.extend(std::env::home_dir().map(|home| home.join(".kube/config")));
    }
    paths.retain(|path| path.exists());
    paths
}

/// What these files say together. Where there are none, kube says what is missing.
fn read_usual(paths: &[PathBuf]) -> Result<Kubeconfig, KubeconfigError> {
    let merged = paths.iter().map(Kubeconfig::read_from).reduce(|one, other| one?.merge(other?));
    merged.unwrap_or_else(Kubeconfig::read)
}

fn unusable(path: Option<&PathBuf>, cause: KubeconfigError) -> ReachError {
    ReachError::Kubeconfig { path: path.cloned(), cause: Box::new(cause) }
}

/// The configuration of a context that is in this kubeconfig.
async fn of_context(
    Context { kubeconfig: path, context }: &Context,
    mut kubeconfig: Kubeconfig,
) -> Result<Config, ReachError> {
    // Nobody is there to answer what a plug-in for credentials asks.
    let plug_ins = kubeconfig.auth_infos.iter_mut().filter_map(|it| it.auth_info.as_mut());
    for plug_in in plug_ins.filter_map(|it| it.exec.as_mut()) {
        run_by_us(plug_in).map_err(ReachError::NoExecutable)?;
    }
    let proxy_url = proxy(context, &mut kubeconfig)?;
    named_by(context, &kubeconfig)
        .into_iter()
        .try_for_each(|it| files::see_named(Path::new(it)))?;
    let options = KubeConfigOptions { context: Some(context.clone()), ..Default::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let mut config = config.map_err(|cause| unusable(path.as_ref(), cause))?;
    if config.auth_info.impersonate.is_some() {
        return Err(ReachError::Impersonates { context: context.clone() });
    }
    let provider = config.auth_info.auth_provider.as_ref();
    if provider.is_some_and(|provider| provider.config.contains_key("cmd-path")) {
        return Err(ReachError::Provider { context: context.clone() });
    }
    take_token(&mut config.auth_info)?;
    if !has_bearer(&config.auth_info) {
        return Err(ReachError::Token { context: context.clone() });
    }
    config.proxy_url = proxy_url;
    Ok(config)
}

/// Takes a token in a file as kubectl does, without the white space around it, with which kube would send it. One
/// without any is left to kube, which reads it again each minute.
fn take_token(auth: &mut AuthInfo) -> Result<(), FileError> {
    let (None, Some(path)) = (&auth.token, &auth.token_file) else { return Ok(()) };
    let (token, is_bare) = files::token(Path::new(path))?;
    auth.token = (!is_bare).then(|| token.into());
    Ok(())
}

/// The files with certificates and keys that a context's cluster and user name.
fn named_by<'a>(context: &str, kubeconfig: &'a Kubeconfig) -> Vec<&'a str> {
    let found = kubeconfig.contexts.iter().find(|it| it.name == context);
    let Some(context) = found.and_then(|it| it.context.as_ref()) else { return Vec::new() };
    let cluster = kubeconfig.clusters.iter().find(|it| it.name == context.cluster);
    let cluster = cluster.and_then(|it| it.cluster.as_ref());
    let user = kubeconfig.auth_infos.iter().find(|it| Some(&it.name) == context.user.as_ref());
    let user = user.and_then(|it| it.auth_info.as_ref());
    let named = [
        cluster.and_then(|it| it.certificate_authority.as_deref()),
        user.and_then(|it| it.client_certificate.as_deref()),
        user.and_then(|it| it.client_key.as_deref()),
    ];
    named.into_iter().flatten().collect()
}

/// The proxy that leads to the cluster of a context.
fn proxy(context: &str, kubeconfig: &mut Kubeconfig) -> Result<Option<http::Uri>, ProxyError> {
    let name = cluster_of(context, kubeconfig).map(str::to_owned);
    let mut clusters = kubeconfig.clusters.iter_mut();
    let cluster = clusters.find(|it| Some(&it.name) == name.as_ref());
    let variable = |name: &str| std::env::var(name).ok();
    match cluster.and_then(|it| it.cluster.as_mut()) {
        Some(cluster) => proxy::take(cluster, variable),
        // kube says that it is missing.
        None => Ok(None),
    }
}

/// The name of a context's cluster.
fn cluster_of<'a>(context: &str, kubeconfig: &'a Kubeconfig) -> Option<&'a str> {
    let found = kubeconfig.contexts.iter().find(|it| it.name == context)?;
    found.context.as_ref().map(|it| it.cluster.as_str())
}

fn see_no_production(
    Context { context, .. }: &Context,
    kubeconfig: &Kubeconfig,
    allowed: Option<&str>,
) -> Result<(), ReachError> {
    let words = [Some(context.as_str()), cluster_of(context, kubeconfig)];
    let suspect = words.into_iter().flatten().find(|word| looks_like_production(word));
    match suspect.filter(|_| allowed != Some(context)) {
        None => Ok(()),
        Some(word) => {
            Err(ReachError::Production { context: context.clone(), word: word.to_owned() })
        }
    }
}

/// Whether a name says that it is a production cluster's: `prod` and its like are a word of it, or end one (`euprod`).
fn looks_like_production(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> =
        words.map(|word| word.trim_matches(|c: char| c.is_ascii_digit())).collect();
    words.iter().enumerate().any(|(position, word)| {
        let before = match position.checked_sub(1).map(|it| words[it]) {
            // Elsewhere it is Norway.
            Some("no") if position > 1 => "",
            before => before.unwrap_or_default(),
        };
        PRODUCTION.contains(word) && !OTHERS.contains(&before)
            || ENDING.iter().any(|said| {
                let start = word.strip_suffix(said).unwrap_or_default();
                !start.is_empty() && !OTHERS.contains(&start)
            })
    })
}

/// The words for it.
const PRODUCTION: [&str; 4] = ["prod", "production", "prd", "live"];

/// Those that may end a word.
const ENDING: [&str; 2] = ["prod", "production"];

/// What turns one of them into its contrary.
const OTHERS: [&str; 4] = ["non", "no", "not", "pre"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_kubeconfigs_those_are_read_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, context: &str| {
            let text = format!("contexts: [{{name: {context}, context: {{cluster: c, user: u}}}}]");
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let paths = [file("a", "one"), folder.path().join("none"), file("b", "two")];
        let variable = std::env::join_paths(paths).unwrap();
        let contexts = read_usual(&usual(Some(variable))).unwrap().contexts;
        let names: Vec<String> = contexts.into_iter().map(|context| context.name).collect();
        assert_eq!(names, ["one", "two"]);
    }

    #[test]
    fn the_arguments_lead_to_the_same_cluster() {
        let way = |kubeconfig: Option<&str>, context: &str| {
            let kubeconfig = kubeconfig.map(PathBuf::from);
            Way::Context(Context { kubeconfig, context: context.to_owned() }).arguments()
        };
        let arn = "arn:aws:eks:eu-1:1:cluster/staging";
        assert_eq!(way(None, arn), format!("--context {arn}"));
        assert_eq!(way(Some("/a/b c"), "it's"), r"--kubeconfig '/a/b c' --context 'it'\''s'");
        assert_eq!(Way::InCluster.arguments(), "--in-cluster");
    }

    #[test]
    fn production_is_known_by_its_name() {
        for name in [
            "prod",
            "eu-prod-1",
            "PROD.example.com",
            "shop-production",
            "live",
            "gke_x_prd",
            "prod1",
            "eks-prod01",
            "production2",
            "euprod",
            "2prod",
            "aks-no-prod",
        ] {
            assert!(looks_like_production(name), "{name}");
        }
        for name in [
            "staging",
            "nonprod",
            "nonprod2",
            "preprod",
            "non-prod-2",
            "no-prod",
            "eu-pre-prod",
            "product-team",
            "kind-prodder",
            "alive",
            "olive-1",
        ] {
            assert!(!looks_like_production(name), "{name}");
        }
    }
}
