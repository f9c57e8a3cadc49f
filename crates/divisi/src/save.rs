//! Files that the user names for output.

use anyhow::Context as _;
use divisi_app::Problem;
use rustix::fs::Access;
use rustix::io::Errno;
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The mode of results, which are the user's own files.
pub(crate) const FOR_ALL: u32 = 0o644;

/// The mode of whole runs, the same as that of the store.
pub(crate) const FOR_OWNER: u32 = 0o600;

/// Whether the path is that of a folder: it is one, or ends with a slash.
pub(crate) fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Writes a file as a whole: a reader sees the old one or the new one, also after a power cut. A file
/// that is replaced keeps its mode, without rights that `mode` withholds from others. What is no
/// file, such as a pipe or a device, is written to.
pub(crate) fn save(path: &Path, text: &str, mode: u32) -> Result<(), Problem> {
    let failed = || format!("cannot write {}", path.display());
    if is_device(path) {
        let mut device = File::options()
            .write(true)
            .open(path)
            .with_context(failed)?;
        return Ok(device.write_all(text.as_bytes()).with_context(failed)?);
    }
    let target = target_of(path);
    let replaced = std::fs::metadata(&target).map(|file| file.permissions().mode() & 0o777);
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder_of(&target))
        .with_context(failed)?;
    if let Ok(kept) = replaced {
        let kept = match mode {
            FOR_OWNER => kept & FOR_OWNER,
            _ => kept,
        };
        // Not at its creation, where the process's mask takes rights away.
        let kept = Permissions::from_mode(kept);
        file.as_file().set_permissions(kept).with_context(failed)?;
    }
    file.write_all(text.as_bytes()).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist(&target).with_context(failed)?;
    Ok(())
}

/// Fails if a file at this path could not be written later, or a folder not be made.
pub(crate) fn check(path: &Path) -> Result<(), Problem> {
    let wanted = match () {
        () if is_device(path) || path.is_dir() => path.to_owned(),
        // The first thing above it that exists is what it is made in.
        () if is_folder(path) => {
            let mut above = path.ancestors().skip(1).map(|folder| match folder {
                nothing if nothing.as_os_str().is_empty() => Path::new("."),
                folder => folder,
            });
            let found = above.find(|folder| folder.exists());
            found.unwrap_or(Path::new(".")).to_owned()
        }
        () => folder_of(&target_of(path)),
    };
    let writable = match is_device(&wanted) || wanted.is_dir() || !wanted.exists() {
        true => rustix::fs::access(&wanted, Access::WRITE_OK),
        false => Err(Errno::NOTDIR),
    };
    let why = match writable {
        Ok(()) => return Ok(()),
        Err(error) => std::io::Error::from(error),
    };
    Err(
        Problem::usage(format!("cannot write {}: {why}", path.display()))
            .hint("nothing was started; name a place that can be written"),
    )
}

/// The file that is written: a link stays one, and its file is replaced.
fn target_of(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
        .to_owned()
}
