//! The Go modules that pin the programs: `assets/<name>/go.mod` with its `go.sum`, embedded in the executable.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use ring::digest::{Context, SHA256};

use crate::text::hex;

static MODULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../assets");

/// A module whose tools are our programs.
pub(super) struct Module {
    name: String,
    /// The version that it pins, such as `1.36.3`.
    pub(super) version: String,
    pub(super) go_mod: &'static str,
    pub(super) go_sum: &'static str,
}

/// The Kubernetes minor versions that can be embedded.
pub fn versions() -> Vec<&'static str> {
    let names = MODULES.dirs().filter_map(|folder| folder.path().to_str());
    let mut versions: Vec<&str> =
        names.filter_map(|name| name.strip_prefix("kubernetes-")).collect();
    versions.sort_unstable();
    versions
}

/// One module by its folder's name.
pub(super) fn module(name: &str) -> Option<Module> {
    let text = |file: &str| MODULES.get_file(Path::new(name).join(file))?.contents_utf8();
    let go_mod = text("go.mod")?;
    let pinned = if name == "etcd" { "go.etcd.io/etcd/server/v3" } else { "k8s.io/kubernetes" };
    let version = go_mod.lines().find_map(|line| {
        let (module, rest) = line.trim().split_once(' ')?;
        (module == pinned).then(|| rest.split(' ').next().unwrap_or_default())
    })?;
    Some(Module {
        name: name.to_owned(),
        version: version.trim_start_matches('v').to_owned(),
        go_mod,
        go_sum: text("go.sum")?,
    })
}

impl Module {
    /// Where its programs are kept: by version and by content, so that a change of the module builds anew.
    pub(super) fn folder(&self) -> io::Result<PathBuf> {
        let mut context = Context::new(&SHA256);
        context.update(self.go_mod.as_bytes());
        context.update(self.go_sum.as_bytes());
        let content = hex(&context.finish().as_ref()[..6]);
        let kind = self.name.split('-').next().unwrap_or_default();
        Ok(cache()?.join(format!("{kind}-{}-{content}", self.version)))
    }
}

/// The folder of everything that brinell builds.
pub(super) fn cache() -> io::Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let missing = || io::Error::other("neither XDG_CACHE_HOME nor HOME is set");
    Ok(cache.ok_or_else(missing)?.join("brinell").join("assets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_pins_its_version() {
        assert_eq!(versions(), ["1.34", "1.35", "1.36", "1.37"]);
        for version in versions() {
            let module = module(&format!("kubernetes-{version}")).expect("a module");
            assert!(module.version.starts_with(version), "{}", module.version);
        }
        assert!(module("etcd").expect("a module").version.starts_with("3."));
    }
}
