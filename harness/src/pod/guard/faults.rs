//! What can be wrong with exec-guard itself. The weakenings of its control order these faults, to prove that a
//! scenario notices; a guard that is meant to guard has none.

use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};

/// The faults that exec-guard is started with, as arguments of its container.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Faults {
    /// Fault: answer every review this many seconds late.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    delay: u64,
    /// Fault: look a pod's labels up once and remember them for ever.
    #[arg(long)]
    remember: bool,
}

impl Faults {
    /// Reads the arguments of exec-guard's container, as its own command line does.
    ///
    /// # Errors
    /// When they are none of exec-guard's.
    pub fn read<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, clap::Error> {
        let command = Faults::augment_args(Command::new("guard").no_binary_name(true));
        Faults::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }

    /// How late every answer is.
    pub(super) fn delay(&self) -> Duration {
        Duration::from_secs(self.delay)
    }

    /// Whether labels are remembered.
    pub(super) fn remembers(&self) -> bool {
        self.remember
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_has_no_faults_unless_it_is_told_to() {
        assert_eq!(Faults::read([]).expect("arguments"), Faults::default());
        let both = Faults::read(["--delay", "3", "--remember"]).expect("arguments");
        assert_eq!((both.delay(), both.remembers()), (Duration::from_secs(3), true));
        assert!(Faults::read(["--deaf"]).is_err());
    }
}
