//! The image of our own executable, for a registry that a cluster pulls from.

use std::io::{IsTerminal, Write};
use std::path::Path;

use brinell::cluster::Image;
use brinell::report::{ExitCode, ReportError};

use super::Error;

/// Writes the archive to a file, or to standard output for `-`, and says what it is and how it is pushed.
pub fn image(target: &Path, executable: Option<&Path>) -> Result<ExitCode, Error> {
    let image = Image::of_this_version(executable)?;
    let size = if target == Path::new("-") {
        let output = std::io::stdout();
        if output.is_terminal() {
            return Err(Error::ImageToTerminal);
        }
        image.write_to(output.lock()).map_err(ReportError::Print)?
    } else {
        image.write(target)?
    };
    let (name, platform) = (image.name(), image.platform());
    let told = format!("{name} for {platform}, {:.1} MiB", size as f64 / f64::from(1 << 20));
    let next = match target == Path::new("-") {
        true => "`docker load` and `skopeo copy docker-archive:/dev/stdin …` take it".to_owned(),
        false => {
            let file = target.display();
            format!(
                "written to {file}\npush it: skopeo copy docker-archive:{file} docker://REGISTRY/{name}"
            )
        }
    };
    // The archive is there: if this cannot be said, the exit code still is right.
    let _ = writeln!(std::io::stderr(), "{told}, {next}");
    Ok(ExitCode::Passed)
}
