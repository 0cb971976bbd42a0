//! What a profile says, as types. A profile's name is the file's; it is not written in the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AuditSource, Layer};

/// A list of controls: `manifests/profiles/<name>.yaml`, or a company's own file. On a cluster of ours they are set up; on
/// one that is not ours they are declared, and the profile says where it is and who acts there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    /// What it stands for, in a sentence.
    pub title: String,
    /// The existing cluster that it is for; `None` is a cluster of ours, or the one that the command line names.
    #[serde(default)]
    pub cluster: Option<Whereabouts>,
    /// Where the audit log of an existing cluster comes from; `None` is from nowhere.
    #[serde(default)]
    pub audit: Option<AuditSource>,
    /// Who plays a persona on an existing cluster, by the persona's name.
    #[serde(default)]
    pub personas: BTreeMap<String, Player>,
    /// Its controls by id. A control that is not here is not set up, and what tests it is skipped.
    pub controls: BTreeMap<String, Setting>,
    /// How it has the controls that catalogs of the reader's add and that it does not name; `None` is not at all.
    #[serde(default)]
    pub added: Option<Setting>,
}

impl Profile {
    /// The profile of a file in this folder: the files that it names are named from there.
    pub fn below(mut self, folder: &Path) -> Profile {
        let players = self.personas.values_mut().filter_map(|player| match player {
            Player::Credentials(Credentials::Context(context)) => context.kubeconfig.as_mut(),
            Player::Credentials(Credentials::TokenFile(file)) => Some(file),
            Player::Impersonated(_) | Player::ServiceAccount(_) => None,
        });
        let cluster =
            self.cluster.iter_mut().flat_map(|Whereabouts { kubeconfig, pull_secret, .. }| {
                let pulled = pull_secret.as_mut().and_then(|secret| match secret {
                    PullSecret::File(file) => Some(file),
                    PullSecret::Secret(_) => None,
                });
                kubeconfig.as_mut().into_iter().chain(pulled)
            });
        let audit = self.audit.iter_mut().flat_map(|audit| audit.from.files());
        players.chain(cluster).chain(audit).for_each(|file| *file = folder.join(&*file));
        self
    }
}

/// Where an existing cluster is, and what may be used there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Whereabouts {
    /// The context of a kubeconfig. Never the current one by default.
    #[serde(default)]
    pub context: Option<String>,
    /// The cluster of the pod that we run in, as its ServiceAccount.
    #[serde(default)]
    pub in_cluster: bool,
    /// The kubeconfig; `None` is the one that kubectl would read.
    #[serde(default)]
    pub kubeconfig: Option<PathBuf>,
    /// The image of our own executable, as the cluster's nodes can pull it; `None` if there is none, and what needs pods
    /// of ours is skipped.
    #[serde(default)]
    pub image: Option<String>,
    /// A pod of the cluster's, in which permits run a command where there is no image of ours; `None` if there is none, and
    /// what needs pods of ours is skipped.
    #[serde(default)]
    pub pod: Option<LentPod>,
    /// With what the nodes pull that image; `None` if they need nothing.
    #[serde(default)]
    pub pull_secret: Option<PullSecret>,
    /// Namespaces that are there already and take the place of ours, by the end of the name that ours would have:
    /// `production-app`, `personas`. Where there are any, no namespace is made.
    #[serde(default)]
    pub namespaces: BTreeMap<String, String>,
    /// Labels that every namespace of ours gets, beside those that a target gives it.
    #[serde(default)]
    pub namespace_labels: BTreeMap<String, String>,
}

/// A running pod of an existing cluster's, and what may be run in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LentPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The container; needed where it has several.
    #[serde(default)]
    pub container: Option<String>,
    /// A command that does no harm, and ends by itself without an error.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
}

/// A context of a kubeconfig.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Context {
    /// The kubeconfig; `None` is the one that kubectl would read.
    pub kubeconfig: Option<PathBuf>,
    /// Its name.
    pub context: String,
}

/// Where the credentials of a registry are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PullSecret {
    /// In a file, as `docker login` writes it.
    File(PathBuf),
    /// In a Secret of the cluster's, `NAMESPACE/NAME`, of the type `kubernetes.io/dockerconfigjson`.
    Secret(String),
}

impl PullSecret {
    /// The namespace and the name of the Secret that holds them; `None` where it is a file.
    pub fn place(&self) -> Option<(&str, &str)> {
        match self {
            PullSecret::File(_) => None,
            PullSecret::Secret(place) => {
                place.split_once('/').filter(|(_, name)| !name.contains('/'))
            }
        }
    }
}

/// A player as a profile writes it: exactly one of `impersonated`, `service-account`, `context` and `token-file`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "WrittenPlayer")]
#[schemars(with = "WrittenPlayer")]
pub enum Player {
    /// Somebody of the cluster's, as whom the admin acts by impersonation.
    Impersonated(Somebody),
    /// A ServiceAccount of ours that holds roles of the cluster's in our namespaces.
    ServiceAccount(OwnAccount),
    /// Somebody of the cluster's, by credentials of their own.
    Credentials(Credentials),
}

/// Credentials that somebody has already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Those of a context; where it names no kubeconfig, of the one that the run's own context is in.
    Context(Context),
    /// A bearer token in a file, which is read once, when the run begins.
    TokenFile(PathBuf),
}

/// Who plays a persona, in the keys of the file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename = "Player", rename_all = "kebab-case")]
struct WrittenPlayer {
    /// Somebody of the cluster's, as whom the admin acts by impersonation.
    #[serde(default)]
    impersonated: Option<Somebody>,
    /// A ServiceAccount of ours that holds roles of the cluster's in our namespaces.
    #[serde(default)]
    service_account: Option<OwnAccount>,
    /// Somebody of the cluster's, by the credentials of this context.
    #[serde(default)]
    context: Option<String>,
    /// The kubeconfig that the context is in; without it, that of the run's own context.
    #[serde(default)]
    kubeconfig: Option<PathBuf>,
    /// Somebody of the cluster's, by a bearer token in this file.
    #[serde(default)]
    token_file: Option<PathBuf>,
}

/// Nobody in particular is written.
#[derive(Debug, thiserror::Error)]
enum NoPlayer {
    #[error(
        "expected exactly one of `impersonated`, `service-account`, `context` and `token-file`"
    )]
    NotOne,
    #[error(
        "`kubeconfig` stands without `context`: a context of it is somebody, the file is nobody"
    )]
    NoContext,
}

impl TryFrom<WrittenPlayer> for Player {
    type Error = NoPlayer;

    fn try_from(written: WrittenPlayer) -> Result<Player, NoPlayer> {
        let WrittenPlayer { impersonated, service_account, context, kubeconfig, token_file } =
            written;
        if kubeconfig.is_some() && context.is_none() {
            return Err(NoPlayer::NoContext);
        }
        let context = context.map(|context| Credentials::Context(Context { kubeconfig, context }));
        let credentials = context.into_iter().chain(token_file.map(Credentials::TokenFile));
        let mut players: Vec<Player> = credentials.map(Player::Credentials).collect();
        players.extend(impersonated.map(Player::Impersonated));
        players.extend(service_account.map(Player::ServiceAccount));
        match (players.len(), players.pop()) {
            (1, Some(player)) => Ok(player),
            _ => Err(NoPlayer::NotOne),
        }
    }
}

/// A user of a cluster, and the groups that its authentication gives them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Somebody {
    /// The user name.
    pub user: String,
    /// The groups, without `system:authenticated`, which the API server adds.
    #[serde(default)]
    pub groups: Vec<String>,
    /// ClusterRoles of the cluster's that they get in our namespaces, where they do not hold them everywhere.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// The roles of a ServiceAccount of ours.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OwnAccount {
    /// ClusterRoles of the cluster's, by name.
    #[serde(default)]
    pub roles: Vec<String>,
}

impl Player {
    /// The ClusterRoles of the cluster's that are bound for them in our namespaces.
    pub fn roles(&self) -> &[String] {
        match self {
            Player::Impersonated(somebody) => &somebody.roles,
            Player::ServiceAccount(account) => &account.roles,
            Player::Credentials(_) => &[],
        }
    }
}

/// How a profile has a control: `{}` is without any weakening, and on an existing cluster as ours is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Setting {
    /// One of the control's weakenings, on a cluster of ours.
    #[serde(default)]
    pub weakening: Option<String>,
    /// On an existing cluster: by what layers the control refuses there. Empty is as ours does. In the name of a webhook or
    /// a policy `*` stands for any text.
    #[serde(default)]
    pub decides: Vec<Layer>,
    /// Beside `decides`: words of the reason that every refusal of the control gives.
    #[serde(default)]
    pub saying: Option<String>,
    /// Beside `decides`: the annotations that every refusal of the control leaves on the audit event.
    #[serde(default)]
    pub leaves: BTreeMap<String, String>,
    /// On an existing cluster: the labels of namespaces in which the control acts. Those of ours that `brinell.dev/CONTROL`
    /// marks for it get them; all of them where it marks none.
    #[serde(default)]
    pub namespace_labels: BTreeMap<String, String>,
}
