//! Removing what ended runs left behind.

use brinell::cluster::{self, Swept};
use brinell::report::ExitCode;

use super::{Error, print};

/// Sweeps every run, or the one that is named.
pub async fn sweep(named: Option<String>) -> Result<ExitCode, Error> {
    let sweeping = cluster::sweep(named.as_deref()).await.map_err(Error::Sweep)?;
    let line = |(run, became): &(String, Swept)| format!("{run}: {}\n", told(run, became));
    let lines: String = sweeping.swept.iter().map(line).collect();
    if let Some(error) = sweeping.unasked {
        print(lines.as_bytes())?;
        return Err(Error::EngineUnasked(error));
    }
    print(if lines.is_empty() { b"nothing to sweep\n" } else { lines.as_bytes() })
}

fn told(run: &str, became: &Swept) -> String {
    match became {
        Swept::Removed(count) => format!("removed, {count} things"),
        Swept::Alive => "is running".to_owned(),
        Swept::Kept => format!("was kept on purpose; `brinell sweep {run}` removes it"),
        Swept::Elsewhere => {
            format!("was not started from here; `brinell sweep {run}` removes it all the same")
        }
    }
}
