//! The arguments of the command line, as types. What is done with them is in `main.rs` and `command`.

mod broken;
mod reports;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use reports::Reports;

use crate::catalog::{FileKind, Grantee, New};
use crate::cluster::{ClusterType, DEFAULT_VERSION, PlugIn, Supervision, Tied};
use crate::pod::InCluster;
use crate::report::{ExitCode, Format, Meaning, Shown};
use crate::run::Manner;

const EXAMPLES: &str = "\
Examples:
  brinell --scenario exec-interactive               one scenario on a hardened cluster
  brinell --profile open --scenario 'exec-*'        the same attacks where nothing stops them
  brinell --tag mitre/T1609 --junit junit.xml       every scenario of a technique, with a report
  brinell --context staging                         an existing cluster, as it is found
  brinell --list                                    what there is
  brinell explain exec-interactive                  what a scenario does and why
  brinell prove --cluster embedded                  the proof that scenarios can fail
  brinell compare before.json after.json            what a change made worse
  brinell sweep                                     removes what an ended run left behind";

const PROOF: &str = "\
Every cluster is made for the proof and deleted after it; one that brinell did not make is never weakened.

Examples:
  brinell prove                                     every weakening of every control
  brinell prove --cluster embedded                  the same without Docker, two clusters side by side
  brinell prove --control exec-guard                the weakenings of one control
  brinell prove --scenario exec-interactive         what one scenario notices
  brinell prove --json proof.json && brinell report proof.json > proof.md";

const COMPARISON: &str = "\
What differs between any two runs (ids, times, addresses) is left out. What passed and is skipped, inconclusive or gone now
is worse, and so is what fails for one reason more, or fails and was not there.

Examples:
  brinell compare before.json after.json            the check after an upgrade or another change";

const UPGRADE: &str = "\
Each is a cluster that is made for its run and deleted after it. Where a run ends early, nothing is compared.
With --results, `brinell compare` and `brinell report` show both once more, in any form.

Examples:
  brinell upgrade --from 1.34 --to 1.37 --cluster embedded
  brinell upgrade --from 1.34 --to 1.37 --catalog hardening --profile payments --results upgrade";

const REHEARSAL: &str = "\
What decides on the existing cluster is read, never changed: roles and bindings, admission policies with their bindings
and parameters, namespaces' labels, NetworkPolicies, quotas, limit ranges, priority levels and flow schemas. Secrets are not
read. What could not be captured is told by name. On both clusters brinell's own namespaces are made for the scenarios, and
removed.

Examples:
  brinell rehearse --context staging --to 1.36
  brinell rehearse --context staging --to 1.36 --captured captured --results rehearsal
  brinell rehearse --profile ./staging.yaml --to 1.36 --audit-policy policy.yaml --settings api-server.yaml
  brinell --catalog captured --profile captured --list    what was captured, read as a catalog";

/// The end of a help: what belongs to the command, and the exit codes in the words that `said` chooses.
fn after_help(about: &str, said: fn(Meaning) -> &'static str) -> String {
    let told = |code: &ExitCode| (*code as u8, said(code.meaning()).replace('\n', "\n     "));
    let told_of = ExitCode::ALL.iter().filter(|code| !said(code.meaning()).is_empty());
    let (foreign, own): (Vec<_>, Vec<_>) = told_of.partition(|it| it.is_foreign());
    let line = |code| {
        let (number, words) = told(code);
        format!("  {number}  {words}\n")
    };
    let own: String = own.into_iter().map(line).collect();
    let word = |code| {
        let (number, words) = told(code);
        format!("{number} {words}")
    };
    let foreign: Vec<String> = foreign.into_iter().map(word).collect();
    format!("{about}\n\nExit codes:\n{own}  {}", foreign.join(", "))
}

/// Presses on a Kubernetes cluster with real attacks and says which were stopped, by whom, and what evidence
/// they left.
#[derive(Debug, Parser)]
#[command(name = "brinell", version, after_help = after_help(EXAMPLES, |meaning| meaning.run_help), args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Something else than a run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A run.
    #[command(flatten)]
    pub run: RunArguments,
}

/// What is not a run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell what a scenario does, who should stop it, what is lost, and what to change where it fails
    Explain(ExplainArguments),
    /// Show what would run, be set up and be skipped; changes nothing
    Plan(PlanArguments),
    /// Weaken each control, one way at a time, and demand that the scenarios notice
    #[command(after_help = after_help(PROOF, |meaning| meaning.proof_help))]
    Prove(ProveArguments),
    /// Join the results of several jobs: other clusters, or parts of the catalog
    Merge(MergeArguments),
    /// Say what is worse, better or otherwise different in a result than in an earlier one, attempt by attempt
    #[command(after_help = after_help(COMPARISON, |meaning| meaning.comparison))]
    Compare {
        /// The JSON that a run wrote before, or `brinell merge`
        before: PathBuf,
        /// The JSON of a run after it
        after: PathBuf,
        /// How it is shown
        #[arg(long, value_name = "FORM", value_enum, default_value_t = Shown::Text)]
        r#as: Shown,
    },
    /// Run on two minor versions of Kubernetes, one after the other, and say what is worse, better or otherwise different
    #[command(after_help = after_help(UPGRADE, |meaning| meaning.comparison))]
    Upgrade(UpgradeArguments),
    /// Capture what decides on an existing cluster, set it up on another minor version, run on both, and say what would
    /// change
    #[command(after_help = after_help(REHEARSAL, |meaning| meaning.comparison))]
    Rehearse(Box<RehearseArguments>),
    /// Say when each scenario turned and how long it takes, over many results
    Trend {
        /// Files, and folders in which the JSON of every run is read
        #[arg(required = true)]
        results: Vec<PathBuf>,
        /// How it is shown
        #[arg(long, value_name = "FORM", value_enum, default_value_t = Shown::Text)]
        r#as: Shown,
    },
    /// Write the image of this executable as an archive, to push into your registry
    Image {
        /// The archive, as `docker load` and `skopeo copy docker-archive:…` take it; `-` is standard output
        file: PathBuf,
        /// Put this brinell into the image instead of the running one, for example a build for the nodes' architecture
        #[arg(long, value_name = "FILE")]
        executable: Option<PathBuf>,
    },
    /// Print a result in another format, from the JSON that a run or a proof wrote
    Report {
        /// The JSON
        results: PathBuf,
        /// The format
        #[arg(long, value_name = "FORMAT", default_value = "markdown", value_parser = reports::named())]
        r#as: &'static Format,
    },
    /// Remove what ended runs left behind: clusters, containers, networks, images, files
    Sweep(SweepArguments),
    /// The programs of embedded clusters: where they come from, building them, removing what was built
    Assets {
        /// What to do with them
        #[arg(value_enum, default_value_t = AssetsWork::List)]
        work: AssetsWork,
        /// Kubernetes minor version of what is built
        #[arg(long, value_name = "X.Y", default_value = crate::cluster::DEFAULT_VERSION)]
        kubernetes_version: String,
    },
    /// Write a first catalog, control, scenario or persona of your own, which runs as it is
    New(NewArguments),
    /// Print a page of all scenarios of a catalog of yours, in Markdown
    Docs {
        /// The catalog's folder
        folder: PathBuf,
    },
    /// Print the JSON Schema of a kind of file, by which an editor completes and checks it
    Schema {
        /// The kind of file
        #[arg(value_enum)]
        kind: FileKind,
    },
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Run a program until it or standard input ends
    #[command(hide = true)]
    Supervise(Supervision),
    /// Become a program that the kernel ends with its supervisor
    #[command(hide = true)]
    Tied(Tied),
    /// Run a plug-in for credentials
    #[command(hide = true)]
    PlugIn(PlugIn),
    /// What runs inside pods
    #[command(hide = true, subcommand)]
    InCluster(InCluster),
}

/// Catalogs of the reader's.
#[derive(Debug, Args)]
pub struct Catalogs {
    /// A folder of your own scenarios, controls and the like, laid over ours; repeatable
    #[arg(long = "catalog", value_name = "DIR", help_heading = "Scenarios")]
    pub folders: Vec<PathBuf>,
}

/// What is explained.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The scenario's id, or a glob
    pub id: String,
    /// Print the file as it stands
    #[arg(long)]
    pub yaml: bool,
    /// Where else it may be.
    #[command(flatten)]
    pub catalogs: Catalogs,
}

/// What is begun.
#[derive(Debug, Args)]
pub struct NewArguments {
    /// What to begin
    #[arg(value_enum)]
    pub what: New,
    /// Its name: lower-case letters, digits and dashes [default: own, or with --from as what is in the file]
    pub name: Option<String>,
    /// Of a control: a file of what you have, of which it is made: an admission policy, a webhook configuration, a role (each
    /// with its binding), a NetworkPolicy or an audit policy
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// The catalog's folder
    #[arg(long, value_name = "DIR")]
    pub catalog: PathBuf,
}

/// Which scenarios, against which profile.
#[derive(Debug, Args)]
pub struct Selection {
    /// Scenarios by id or glob; repeatable [default: all]
    #[arg(short, long, value_name = "ID", help_heading = "Scenarios")]
    pub scenario: Vec<String>,
    /// Scenarios with one of these tags; repeatable
    #[arg(long, value_name = "TAG", help_heading = "Scenarios")]
    pub tag: Vec<String>,
    /// Not these scenarios, by id or glob; repeatable
    #[arg(long, value_name = "ID", help_heading = "Scenarios")]
    pub skip: Vec<String>,
    /// Where else they are.
    #[command(flatten)]
    pub catalogs: Catalogs,
    /// Only scenarios of your catalogs; what they need of ours is there
    #[arg(long, requires = "folders", help_heading = "Scenarios")]
    pub only_mine: bool,
    /// A profile's name, or a file of your own
    /// [default: hardened; on an existing cluster found]
    #[arg(long, value_name = "NAME|FILE", help_heading = "Cluster")]
    pub profile: Option<String>,
    /// What the cluster is made of [default: kind if a Docker engine and kind answer, else embedded]
    #[arg(long, value_name = "KIND", help_heading = "Cluster")]
    pub cluster: Option<ClusterType>,
}

impl Selection {
    /// The files that are read, over which no report may be written.
    pub fn reads(&self) -> Vec<PathBuf> {
        self.profile.iter().map(PathBuf::from).collect()
    }
}

/// What a plan can be told.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// Which scenarios, against which profile.
    #[command(flatten)]
    pub selection: Selection,
    /// On which existing cluster.
    #[command(flatten)]
    pub existing: ExistingArguments,
    /// Print roles with exactly what brinell needs there, bound to User/NAME, Group/NAME or ServiceAccount/NAMESPACE/NAME;
    /// takes no cluster
    #[arg(
        long,
        value_name = "SUBJECT",
        conflicts_with = "cluster",
        help_heading = EXISTING
    )]
    pub rbac: Option<Grantee>,
}

/// What is run before an upgrade.
#[derive(Debug, Args)]
pub struct UpgradeArguments {
    /// Minor version to upgrade from
    #[arg(long, value_name = "X.Y", help_heading = "Cluster")]
    pub from: String,
    /// Minor version to upgrade to
    #[arg(long, value_name = "X.Y", help_heading = "Cluster")]
    pub to: String,
    /// Which scenarios, against which profile.
    #[command(flatten)]
    pub selection: Selection,
    /// How both runs are run.
    #[command(flatten)]
    pub both: Both,
}

/// What is rehearsed.
#[derive(Debug, Args)]
#[command(mut_arg("cluster", |it| it.hide(true)))]
pub struct RehearseArguments {
    /// Minor version of the second cluster
    #[arg(long, value_name = "X.Y", help_heading = "Cluster")]
    pub to: String,
    /// Which scenarios, against which profile.
    #[command(flatten)]
    pub selection: Selection,
    /// On which existing cluster.
    #[command(flatten)]
    pub existing: ExistingArguments,
    /// Write what is captured into this folder, which must be empty: a catalog to review, and for --catalog
    #[arg(long, value_name = "DIR", help_heading = "Captured")]
    pub captured: Option<PathBuf>,
    /// The audit policy of the existing cluster; without it the audit log is read on neither cluster
    #[arg(long, value_name = "FILE", help_heading = "Captured")]
    pub audit_policy: Option<PathBuf>,
    /// The settings of its API server: YAML with `flags` and `files`, as `api-server` of a control has them; without it, what
    /// rests on them is tried on neither cluster
    #[arg(long, value_name = "FILE", help_heading = "Captured")]
    pub settings: Option<PathBuf>,
    /// How both runs are run.
    #[command(flatten)]
    pub both: Both,
}

/// Which runs are swept.
#[derive(Debug, Args)]
#[command(mut_arg("kubeconfig", |kubeconfig| kubeconfig.requires("context")))]
pub struct SweepArguments {
    /// One run, even one that was kept or was started elsewhere
    pub run: Option<String>,
    /// The profile of a run that was started elsewhere, in namespaces that it gives
    #[arg(long, value_name = "FILE", requires = "run")]
    pub profile: Option<String>,
    /// Where its scenarios are.
    #[command(flatten)]
    pub catalogs: Catalogs,
    /// Where they left something, if it is no cluster of ours.
    #[command(flatten)]
    pub there: There,
}

/// The heading of what is said of an existing cluster.
const EXISTING: &str = "Existing cluster";

/// How an existing cluster is found.
#[derive(Debug, Args)]
pub struct There {
    /// An existing cluster: the one of this context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// An existing cluster: the one of the pod that brinell runs in, as its ServiceAccount
    #[arg(long, conflicts_with_all = ["context", "kubeconfig"])]
    pub in_cluster: bool,
    /// The kubeconfig [default: the one that kubectl reads]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// An existing cluster, which brinell did not make. A proof takes none: what is not ours is never weakened.
#[derive(Debug, Args)]
#[command(
    mut_arg("context", |it| it.conflicts_with("cluster").help_heading(EXISTING)),
    mut_arg("in_cluster", |it| it.conflicts_with("cluster").help_heading(EXISTING)),
    mut_arg("kubeconfig", |it| it.help_heading(EXISTING))
)]
pub struct ExistingArguments {
    /// Which.
    #[command(flatten)]
    pub there: There,
    /// The image of brinell that its nodes can pull; without one, what needs running pods is skipped
    #[arg(long, value_name = "IMAGE", help_heading = EXISTING)]
    pub image: Option<String>,
    /// Requests a second at most; 0 is as fast as it answers [default: 20]
    #[arg(long, value_name = "N", help_heading = EXISTING)]
    pub rate: Option<u32>,
    /// Allow attacks that make cluster-wide objects, or objects outside brinell's namespaces; they are labelled and
    /// removed by UID
    #[arg(long, value_name = "WHAT", help_heading = EXISTING)]
    pub allow: Option<Allowance>,
    /// Repeat the context's name to confirm, if it looks like production
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "in_cluster",
        help_heading = EXISTING
    )]
    pub allow_production: Option<String>,
}

/// What is not done on an existing cluster unless it is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Allowance {
    /// Objects outside of namespaces of brinell's own
    ClusterEffects,
}

/// What a run can be told.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Which scenarios, against which profile.
    #[command(flatten)]
    pub selection: Selection,
    /// List the scenarios instead of running them
    #[arg(
        long, value_name = "FORMAT", num_args = 0..=1, default_missing_value = "text",
        conflicts_with_all = reports::flags_of_all(), help_heading = "Scenarios"
    )]
    pub list: Option<ListFormat>,
    /// YAML file of known failures, each with an owner and an expiry date
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub expected: Option<PathBuf>,
    /// Keep the audit log's lines behind each attempt in this folder, which must be empty: a file a scenario, without what
    /// Secrets and tokens hold
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    pub keep_evidence: Option<PathBuf>,
    /// Keep the cluster, to look at it
    #[arg(long, conflicts_with_all = ["context", "in_cluster"], help_heading = "Cluster")]
    pub keep: bool,
    /// On which existing cluster.
    #[command(flatten)]
    pub existing: ExistingArguments,
    /// Under which conditions.
    #[command(flatten)]
    pub conditions: Conditions,
    /// What is shown and written.
    #[command(flatten)]
    pub output: Output,
}

impl RunArguments {
    /// How its scenarios are run. Without a deadline of the user's it is `deadline`.
    pub fn manner(&self, deadline: Duration) -> Manner {
        Manner {
            require_all: self.output.require_all,
            keeps_lines: self.keep_evidence.is_some(),
            ..self.conditions.limits.manner(deadline)
        }
    }

    /// The files that are read, over which no report may be written.
    pub fn reads(&self) -> Vec<PathBuf> {
        let kubeconfig = &self.existing.there.kubeconfig;
        let named = [&self.expected, kubeconfig].into_iter().flatten().cloned();
        named.chain(self.selection.reads()).collect()
    }

    /// The first argument of which nothing would come on an existing cluster; `None` if there is none.
    pub fn of_own(&self) -> Option<&'static str> {
        let given = [
            ("keep", self.keep),
            ("kubernetes-version", self.conditions.kubernetes_version.is_some()),
            ("node-image", self.conditions.names_node_image()),
        ];
        given.into_iter().find_map(|(flag, is_given)| is_given.then_some(flag))
    }
}

/// What a proof can be told.
#[derive(Debug, Args)]
pub struct ProveArguments {
    /// Weaken these controls only; repeatable [default: all]
    #[arg(long, value_name = "ID", help_heading = "Scenarios")]
    pub control: Vec<String>,
    /// Run against each weakening only the scenarios that are expected to notice it: sooner done, but attacks that catch
    /// nothing and collateral stay unknown
    #[arg(long, help_heading = "Scenarios")]
    pub only_expected: bool,
    /// Which scenarios, against which profile.
    #[command(flatten)]
    pub selection: Selection,
    /// Clusters side by side [default: 2 embedded ones, or 1 of kind]
    #[arg(
        long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16),
        help_heading = "Cluster"
    )]
    pub clusters: Option<u8>,
    /// Under which conditions.
    #[command(flatten)]
    pub conditions: Conditions,
    /// What is shown and written.
    #[command(flatten)]
    pub output: Output,
}

/// What a merge can be told.
#[derive(Debug, Args)]
pub struct MergeArguments {
    /// The JSON that each job wrote, or that an earlier merge did; a run that is in two of them counts once
    #[arg(required = true)]
    pub results: Vec<PathBuf>,
    /// The report files.
    #[command(flatten)]
    pub reports: Reports,
}

/// The conditions of a run or a proof.
#[derive(Debug, Args)]
pub struct Conditions {
    /// Kubernetes minor version of the cluster; without one it is [`DEFAULT_VERSION`].
    #[arg(
        long, value_name = "X.Y", help_heading = "Cluster",
        help = format!("Kubernetes minor version of the cluster [default: {DEFAULT_VERSION}]")
    )]
    pub kubernetes_version: Option<String>,
    /// Node image to make a kind cluster from, instead of the version's own
    #[arg(long, value_name = "IMAGE", env = NODE_IMAGE, help_heading = "Cluster")]
    pub node_image: Option<String>,
    /// How many scenarios at a time, and how long.
    #[command(flatten)]
    pub limits: Limits,
}

/// The variable that names a node image.
const NODE_IMAGE: &str = "BRINELL_NODE_IMAGE";

impl Conditions {
    /// Whether an argument names a node image. The variable is for whatever cluster has nodes, and may be set for all.
    pub fn names_node_image(&self) -> bool {
        let set = std::env::var_os(NODE_IMAGE);
        self.node_image.as_deref().is_some_and(|image| Some(OsStr::new(image)) != set.as_deref())
    }
}

/// How many scenarios at a time, and how long.
#[derive(Debug, Clone, Args)]
pub struct Limits {
    /// Scenarios at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Seconds that the scenarios of a run may take altogether
    /// [default: 600; on an existing cluster and in a rehearsal 1800; in a proof 3600]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=MAX_DEADLINE))]
    pub deadline: Option<u64>,
}

impl Limits {
    /// How scenarios are run within them. Without a deadline of the user's it is `deadline`.
    pub fn manner(&self, deadline: Duration) -> Manner {
        Manner {
            jobs: self.jobs.into(),
            deadline: self.deadline.map_or(deadline, Duration::from_secs),
            require_all: false,
            keeps_lines: false,
        }
    }
}

/// How two runs are run that are compared.
#[derive(Debug, Args)]
pub struct Both {
    /// How many scenarios at a time, and how long.
    #[command(flatten)]
    pub limits: Limits,
    /// Keep both results in this folder, as X.Y.json; that of an existing cluster as there.json
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    pub results: Option<PathBuf>,
}

/// What the results of an existing cluster are called.
pub const THERE: &str = "there";

impl Both {
    /// The conditions of the run on one version.
    pub fn conditions(&self, version: &str) -> Conditions {
        Conditions {
            kubernetes_version: Some(version.to_owned()),
            node_image: None,
            limits: self.limits.clone(),
        }
    }

    /// The files in which both results are kept, by what the runs are called.
    pub fn kept(&self, names: [&str; 2]) -> Reports {
        self.results
            .as_deref()
            .map_or_else(Reports::default, |folder| Reports::kept(folder, &names))
    }
}

/// What a run or a proof shows and writes.
#[derive(Debug, Clone, Default, Args)]
pub struct Output {
    /// The report files.
    #[command(flatten)]
    pub reports: Reports,
    /// Count a skipped scenario as inconclusive
    #[arg(long, help_heading = "Results")]
    pub require_all: bool,
    /// Show only what did not pass, and the summary
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Results")]
    pub quiet: bool,
    /// Show each attempt's request and answer too
    #[arg(short, long, help_heading = "Results")]
    pub verbose: bool,
}

/// A day.
const MAX_DEADLINE: u64 = 24 * 60 * 60;

/// What is done with the programs of embedded clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AssetsWork {
    /// Show where each comes from
    List,
    /// Build those that come from nowhere
    Install,
    /// Remove what was built
    Remove,
}

/// How scenarios are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// By family, for people.
    Text,
    /// One JSON document.
    Json,
}
