//! Removing what ended runs left behind.

use std::process::ExitCode as Code;

use brinell::cluster::{self, Swept};
use brinell::report::ExitCode;

use super::{fail, print};

/// Sweeps every run, or the one that is named.
pub async fn sweep(named: Option<String>) -> Code {
    let sweeping = match cluster::sweep(named.as_deref()).await {
        Ok(sweeping) => sweeping,
        Err(error) => return fail(ExitCode::Broken, &error.to_string()),
    };
    let line = |(run, became): &(String, Swept)| format!("{run}: {}\n", told(run, became));
    let lines: String = sweeping.swept.iter().map(line).collect();
    if let Some(error) = sweeping.unasked {
        print(lines.as_bytes());
        let what = "the engine could not be asked for what kind clusters left there";
        return fail(ExitCode::Broken, &format!("{what}: {error}"));
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
