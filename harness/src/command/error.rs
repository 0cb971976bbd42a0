//! Why a command did not do what it was asked for, and the exit code that says so.

use std::io;
use std::path::PathBuf;

use brinell::catalog::{Problems, ProfileError, SelectError};
use brinell::cluster::assets::AssetError;
use brinell::cluster::{
    ChoiceError, ClusterError, CredentialsError, ImageError, NoCluster, PlugInError, ProcessError,
    PullSecretError, ReachError,
};
use brinell::compare::NotCompared;
use brinell::input::Unreadable;
use brinell::model::ReadError;
use brinell::prove::ProofError;
use brinell::report::{ExitCode, ReportError};
use brinell::run::StageError;

/// Everything that ends a command before its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Scenarios, or what they need, cannot be read.
    #[error(transparent)]
    Catalog(#[from] Problems),
    /// A selection names nothing.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The profile cannot be had.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A scenario was given in the place of a command.
    #[error("did you mean `brinell --scenario {0}`?")]
    BareScenario(String),
    /// The flag of a folder of scenarios alone, which there was once.
    #[error(
        "--scenarios is --catalog now: move what is in its folder into a folder `scenarios` below it, and write \
         `--catalog DIR` (docs/your-own.md)"
    )]
    OldScenarios,
    /// What is begun cannot be called so.
    #[error("`{0}` is no name: a name is lower-case letters, digits and dashes")]
    NoName(String),
    /// Something else than a control was to be made of a file.
    #[error("--from is for a control: `brinell new control --from FILE`")]
    OnlyControlFrom,
    /// A first file of the reader's own could not be written.
    #[error("{}: could not be written: {cause}", path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// No control has this id.
    #[error("there is no control `{id}`; {hint}")]
    UnknownControl {
        /// As it was given.
        id: String,
        /// What may have been meant.
        hint: String,
    },
    /// An argument is for an existing cluster.
    #[error(
        "--{flag} is for {}: add it, or name it in the profile's `cluster`",
        match *flag {
            "image" | "rate" | "profile" => "an existing cluster (--context NAME or --in-cluster), and none is named",
            _ => "a context of a kubeconfig (--context NAME), and none is named",
        }
    )]
    NoPlace {
        /// Which.
        flag: &'static str,
    },
    /// An argument is for a cluster of ours.
    #[error(
        "--{flag} is for a cluster that brinell makes, and this run is on an existing one, which an argument or the profile's \
         `cluster` names"
    )]
    OnlyOwn {
        /// Which.
        flag: &'static str,
    },
    /// A profile is to say where a run was, and does not.
    #[error(
        "the profile {profile} gives no namespaces (`cluster: {{namespaces: …}}`): what a run made in namespaces of its own, \
         `brinell sweep --context NAME RUN` removes"
    )]
    NoneGiven {
        /// The profile.
        profile: String,
    },
    /// The kind of cluster does not give what is asked for.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// Two reports would overwrite each other.
    #[error("--{one} and --{other} name the same file")]
    OneFile {
        /// The flag of the first.
        one: &'static str,
        /// The flag of the second.
        other: &'static str,
    },
    /// A report would overwrite a file that is read.
    #[error("--{flag} names a file that is read: write the report to another one")]
    OverInput {
        /// The flag of the report.
        flag: &'static str,
    },
    /// A file that was named cannot be read.
    #[error("{}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: Unreadable,
    },
    /// A file that was named holds no results.
    #[error("{}: {cause}", path.display())]
    NoResults {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: ReadError,
    },
    /// A proof was to be merged.
    #[error("{}: it is a proof, and `brinell merge` joins runs: leave it out", .0.display())]
    MergedProof(PathBuf),
    /// A result cannot be compared.
    #[error("{}: {cause}", path.display())]
    NotCompared {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: NotCompared,
    },
    /// There is nothing between a version and itself.
    #[error("--from and --to are both {0}: name the version that is there and the one that comes")]
    SameVersion(String),
    /// No cluster is named of which anything could be captured.
    #[error(
        "a rehearsal is of a cluster that is there: name it by --context NAME or --in-cluster, or in the profile's `cluster`"
    )]
    NothingToRehearse,
    /// An audit policy was handed in where no log is read.
    #[error(
        "--audit-policy is for a cluster whose log is read: say in the profile's `audit` where it comes from, or leave it out"
    )]
    NoLogToRehearse,
    /// What is captured would be mixed with something else.
    #[error("{}: it is not empty; what is captured is written into a folder of its own", .0.display())]
    NotEmpty(PathBuf),
    /// Others may look into the folder of what is captured.
    #[error(
        "{}: others may look into it or write there; name a folder that is not there yet, or `chmod 700` it", .0.display()
    )]
    NotPrivate(PathBuf),
    /// Somebody's own credentials cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Two files to be merged say two things of one run.
    #[error(
        "{} and {} both hold run {run} and differ: one of them is older or was changed; leave it out",
        one.display(), other.display()
    )]
    TwoOfOneRun {
        /// The run.
        run: String,
        /// The first file.
        one: PathBuf,
        /// The second file.
        other: PathBuf,
    },
    /// The image of our own executable could not be made.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An archive was to be shown.
    #[error(
        "standard output is a terminal, and an image is no text: name a file, or `brinell image - | docker load`"
    )]
    ImageToTerminal,
    /// A report, or the output, could not be opened or written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The programs of embedded clusters could not be found or built.
    #[error(transparent)]
    Assets(#[from] AssetError),
    /// The kind of cluster that was asked for cannot be made here.
    #[error(transparent)]
    NoCluster(#[from] NoCluster),
    /// The existing cluster that was asked for cannot be reached.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// A plug-in gave no credentials.
    #[error(transparent)]
    PlugIn(PlugInError),
    /// The folder of the run.
    #[error("the run's own folder could not be made: {0}")]
    Folder(io::Error),
    /// The stage of a run.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// A cluster could not be removed.
    #[error("LEFT BEHIND: {cause}\n`brinell sweep {run}` tries again.")]
    LeftBehind {
        /// The run that made it.
        run: String,
        /// Why.
        cause: ClusterError,
    },
    /// A cluster is kept, and the next sweep may remove it.
    #[error("Cluster kept, but not marked so: {0}")]
    NotMarked(io::Error),
    /// A second signal ended the removal.
    #[error(
        "LEFT BEHIND: a second signal ended tidying up, so that parts of run {run} may still be there; \
         `brinell sweep {run}` removes them."
    )]
    NotTidied {
        /// The run that made them.
        run: String,
    },
    /// What ended runs left behind could not be looked for.
    #[error(transparent)]
    Sweep(ClusterError),
    /// Runs that could not be removed; each was told.
    #[error("{} could not be swept", brinell::text::count(*.0, "run"))]
    Unswept(usize),
    /// It could be looked for everywhere but in the engine.
    #[error("the engine could not be asked for what kind clusters left there: {0}")]
    EngineUnasked(ProcessError),
    /// No runtime.
    #[error("no runtime could be started: {0}")]
    Runtime(io::Error),
    /// The signals that end a run could not be waited for.
    #[error("signals cannot be caught: {0}")]
    Signals(io::Error),
    /// A program of a cluster could not be watched over.
    #[error("a program could not be supervised: {0}")]
    Supervise(io::Error),
    /// A program of a cluster could not be started.
    #[error("{program} could not be started: {cause}")]
    Tied {
        /// The program.
        program: String,
        /// Why.
        cause: io::Error,
    },
    /// A panic.
    #[error("a panic; this is a bug in brinell")]
    Panicked,
    /// SIGINT.
    #[error("interrupted")]
    Interrupted,
    /// SIGTERM.
    #[error("ended by SIGTERM")]
    Terminated,
}

impl Error {
    /// The exit code that says so. What was judged may be worse.
    pub fn code(&self) -> ExitCode {
        match self {
            Error::Catalog(_)
            | Error::Select(_)
            | Error::Profile(_)
            | Error::BareScenario(_)
            | Error::OldScenarios
            | Error::NoName(_)
            | Error::OnlyControlFrom
            | Error::Unwritten { .. }
            | Error::UnknownControl { .. }
            | Error::NoPlace { .. }
            | Error::OnlyOwn { .. }
            | Error::NoneGiven { .. }
            | Error::Choice(_)
            | Error::OneFile { .. }
            | Error::OverInput { .. }
            | Error::Unreadable { .. }
            | Error::NoResults { .. }
            | Error::Reach(
                ReachError::Kubeconfig { .. }
                | ReachError::File(_)
                | ReachError::NoContext { .. }
                | ReachError::NotInCluster(_)
                | ReachError::NoExecutable(_)
                | ReachError::Impersonates { .. }
                | ReachError::Provider { .. }
                | ReachError::Token { .. }
                | ReachError::Production { .. }
                | ReachError::Proxy(_)
                | ReachError::PullSecret(
                    PullSecretError::Unreadable { .. }
                    | PullSecretError::Name(_)
                    | PullSecretError::Empty(..),
                )
                | ReachError::Source(_),
            )
            | Error::MergedProof(_)
            | Error::NotCompared { .. }
            | Error::SameVersion(_)
            | Error::NothingToRehearse
            | Error::NoLogToRehearse
            | Error::NotEmpty(_)
            | Error::NotPrivate(_)
            | Error::TwoOfOneRun { .. }
            | Error::ImageToTerminal
            | Error::Report(ReportError::Open { .. })
            | Error::Assets(AssetError::UnknownVersion { .. }) => ExitCode::Usage,
            Error::Report(ReportError::Write { .. } | ReportError::Print(_))
            | Error::Assets(
                AssetError::TooOld { .. }
                | AssetError::Broken { .. }
                | AssetError::NoGo { .. }
                | AssetError::NotBuilt { .. }
                | AssetError::Cache(_),
            )
            | Error::NoCluster(_)
            | Error::Reach(
                ReachError::Api { .. }
                | ReachError::Apply(_)
                | ReachError::AuditCommand(_)
                | ReachError::Unauthorized { .. }
                | ReachError::Unfit { .. }
                | ReachError::PullSecret(PullSecretError::Unread { .. }),
            )
            | Error::Image(_)
            | Error::PlugIn(_)
            | Error::Credentials(_)
            | Error::Folder(_)
            | Error::Stage(_)
            | Error::Proof(_)
            | Error::LeftBehind { .. }
            | Error::NotMarked(_)
            | Error::NotTidied { .. }
            | Error::Sweep(_)
            | Error::Unswept(_)
            | Error::EngineUnasked(_)
            | Error::Runtime(_)
            | Error::Signals(_)
            | Error::Supervise(_)
            | Error::Tied { .. } => ExitCode::Broken,
            Error::Panicked => ExitCode::Panicked,
            Error::Interrupted => ExitCode::Interrupted,
            Error::Terminated => ExitCode::Terminated,
        }
    }
}
