//! The image of what runs in pods: an archive as `docker save` writes it, which both an engine and
//! `kind load image-archive` read. It holds this very executable and nothing else that runs, so that
//! no image is pulled and no tool builds one.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::elf::{Elf, ElfError};
use super::process::own_executable;
use crate::text::hex;

/// The user of our containers: no root, and no user of any node.
const USER: &str = "65532:65532";

/// Some tools look their user up by name.
const PASSWD: &str = "brinell:x:65532:65532::/tmp:/bin/false\n";

/// A file in a tar archive is filled up to whole blocks of this size, and two empty ones end the
/// archive.
const BLOCK: u64 = 512;

/// The container image of this executable.
#[derive(Debug)]
pub struct Image {
    executable: File,
    size: u64,
    elf: Elf,
    tag: String,
    labels: BTreeMap<String, String>,
}

/// The image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The executable could not be opened or read.
    #[error("cannot read {}, which is the image's content: {source}", .path.display())]
    Executable {
        /// The executable.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Which executable runs is not known.
    #[error("our own executable, which is the image's content, is not found: {0}")]
    Unknown(io::Error),
    /// It is for another system.
    #[error(
        "{} cannot run in a container of a cluster: {source}. The containers of a cluster run \
         Linux: use a brinell built for Linux on x86-64 or AArch64", .path.display()
    )]
    Elf {
        /// The executable.
        path: PathBuf,
        /// Why not.
        source: ElfError,
    },
    /// It needs a C library, which the image does not hold.
    #[error(
        "{} is linked dynamically, and the image holds no C library for it. \
         RUSTFLAGS in the environment overrides .cargo/config.toml, which links it statically: \
         unset RUSTFLAGS, or add -C target-feature=+crt-static to it, and build again",
        .path.display()
    )]
    Dynamic {
        /// The executable.
        path: PathBuf,
    },
    /// The archive could not be written.
    #[error("cannot write the image to {path}: {source}")]
    Write {
        /// The archive.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Image {
    /// The image of the executable that is running, with this name and these labels. The name is the run's own, so
    /// that two runs side by side do not take it from each other.
    ///
    /// # Errors
    /// When the executable cannot be read, is not for Linux, or is linked dynamically.
    pub fn of_this_executable(
        tag: String,
        labels: BTreeMap<String, String>,
    ) -> Result<Self, ImageError> {
        Image::of(&own_executable().map_err(ImageError::Unknown)?, tag, labels)
    }

    /// The image of an executable of this version, named by the version; without a path that of the one that is
    /// running.
    ///
    /// # Errors
    /// When the executable cannot be read, is not for Linux, or is linked dynamically.
    pub fn of_this_version(executable: Option<&Path>) -> Result<Self, ImageError> {
        let version = env!("CARGO_PKG_VERSION");
        let tag = format!("brinell:{version}");
        let label = ("org.opencontainers.image.version".to_owned(), version.to_owned());
        match executable {
            Some(path) => Image::of(path, tag, [label].into()),
            None => Image::of_this_executable(tag, [label].into()),
        }
    }

    /// Its name, as an engine knows it once it is loaded.
    pub fn name(&self) -> &str {
        &self.tag
    }

    /// What it runs on: `linux/amd64`.
    pub fn platform(&self) -> String {
        format!("linux/{}", self.elf.machine.architecture())
    }

    fn of(path: &Path, tag: String, labels: BTreeMap<String, String>) -> Result<Self, ImageError> {
        let path = path.to_owned();
        let unreadable = |source| ImageError::Executable { path: path.clone(), source };
        // A pipe would be waited for.
        let size = match path.metadata().map_err(unreadable)? {
            file if file.is_file() => file.len(),
            _ => return Err(unreadable(io::Error::other("it is no file"))),
        };
        let mut executable = File::open(&path).map_err(unreadable)?;
        let elf = Elf::read(&mut executable);
        let elf = elf.map_err(|source| ImageError::Elf { path: path.clone(), source })?;
        if elf.dynamic {
            return Err(ImageError::Dynamic { path });
        }
        Ok(Image { executable, size, elf, tag, labels })
    }

    /// Writes the archive to a file, whole or not at all. Returns its size.
    ///
    /// # Errors
    /// When the file cannot be written; what was there before stays.
    pub fn write(&self, path: &Path) -> Result<u64, ImageError> {
        self.replace(path).map_err(|source| ImageError::Write { path: path.to_owned(), source })
    }

    fn replace(&self, path: &Path) -> io::Result<u64> {
        // A link stays a link: what it leads to is replaced.
        let path = match path.canonicalize() {
            Ok(path) => path,
            Err(_) if path.is_symlink() => {
                return Err(io::Error::other("it is a link that leads to nothing"));
            }
            Err(_) => path.to_owned(),
        };
        if path.exists() && !path.is_file() {
            return Err(io::Error::other("it is there, and is no file"));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // What was nobody else's to read stays so.
        let as_before = path.metadata().map(|there| there.permissions());
        let permissions = as_before.unwrap_or_else(|_| Permissions::from_mode(0o666));
        let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(folder)?;
        let size = self.write_to(file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(size)
    }

    /// Writes the archive and returns its size. The same executable and labels give the same bytes. The layer comes
    /// first, because its digest, which the configuration names, is known only when it was read.
    ///
    /// # Errors
    /// When it cannot be written, or the executable cannot be read.
    pub fn write_to(&self, target: impl Write) -> io::Result<u64> {
        let target = Counting { target: BufWriter::new(target), count: 0 };
        let mut archive = Builder::new(target);
        let layer = self.append_layer(&mut archive)?;
        let config = self.config(&layer).to_string();
        let config_name = format!("{}.json", hex(digest(config.as_bytes()).as_ref()));
        let manifest =
            json!([{"Config": config_name, "RepoTags": [self.tag], "Layers": ["layer.tar"]}]);
        append_file(&mut archive, &config_name, 0o644, config.as_bytes())?;
        append_file(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
        let mut written = archive.into_inner()?;
        written.flush()?;
        Ok(written.count)
    }

    /// Streams the layer into the archive and returns its digest in hexadecimal.
    fn append_layer(&self, archive: &mut Builder<impl Write>) -> io::Result<String> {
        let head = self.layer_head()?;
        let padding = self.size.next_multiple_of(BLOCK) - self.size;
        let tail = padding + 2 * BLOCK;
        let mut executable = &self.executable;
        executable.rewind()?;
        let content =
            head.as_slice().chain(executable.take(self.size)).chain(io::repeat(0).take(tail));
        let mut layer = Digesting { content, context: Context::new(&SHA256) };
        let size = head.len() as u64 + self.size + tail;
        let mut header = header(EntryType::Regular, 0o644, size);
        archive.append_data(&mut header, "layer.tar", &mut layer)?;
        Ok(hex(layer.context.finish().as_ref()))
    }

    /// The layer up to the executable's content, which is its last file.
    fn layer_head(&self) -> io::Result<Vec<u8>> {
        let mut layer = Builder::new(Vec::new());
        append_directory(&mut layer, "bin/", 0o755)?;
        append_directory(&mut layer, "etc/", 0o755)?;
        append_directory(&mut layer, "tmp/", 0o1777)?;
        append_file(&mut layer, "etc/passwd", 0o644, PASSWD.as_bytes())?;
        let mut link = header(EntryType::Symlink, 0o777, 0);
        layer.append_link(&mut link, "bin/probe", "brinell")?;
        let mut executable = header(EntryType::Regular, 0o755, self.size);
        executable.set_path("bin/brinell")?;
        executable.set_cksum();
        let mut head = std::mem::take(layer.get_mut());
        head.extend_from_slice(executable.as_bytes());
        Ok(head)
    }

    /// The image's configuration (OCI image specification).
    fn config(&self, layer: &str) -> serde_json::Value {
        json!({
            "architecture": self.elf.machine.architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "User": USER,
                "Env": ["PATH=/bin"],
                "Cmd": ["/bin/probe", "wait"],
                "WorkingDir": "/",
                "Labels": self.labels,
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "brinell"}],
        })
    }
}

/// Whether this executable could be an image's content: better known before a cluster is made.
///
/// # Errors
/// When the executable cannot be read, is not for Linux, or is linked dynamically.
pub fn can_run_in_pods() -> Result<(), ImageError> {
    Image::of_this_executable(String::new(), BTreeMap::new()).map(drop)
}

/// Counts what is written through it.
struct Counting<W> {
    target: W,
    count: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.target.write(bytes)?;
        self.count += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

/// Computes the digest of what is read through it.
struct Digesting<R> {
    content: R,
    context: Context,
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.content.read(buffer)?;
        self.context.update(&buffer[..length]);
        Ok(length)
    }
}

fn digest(content: &[u8]) -> ring::digest::Digest {
    ring::digest::digest(&SHA256, content)
}

fn append_directory(tar: &mut Builder<Vec<u8>>, path: &str, mode: u32) -> io::Result<()> {
    tar.append_data(&mut header(EntryType::Directory, mode, 0), path, io::empty())
}

fn append_file(
    tar: &mut Builder<impl Write>,
    path: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = header(EntryType::Regular, mode, content.len() as u64);
    tar.append_data(&mut header, path, content)
}

/// A header that is the same on every machine at every time.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests;
