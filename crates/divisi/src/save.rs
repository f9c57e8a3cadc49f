//! Files that the user names for output.

use anyhow::Context as _;
use divisi_app::Problem;
use rustix::fs::Access;
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

/// Writes a file as a whole: a reader sees the old one or the new one. What is no file, such as a
/// pipe or a device, is written to.
pub(crate) fn save(path: &Path, text: &str, mode: u32) -> Result<(), Problem> {
    save_with(path, mode, |file| Ok(file.write_all(text.as_bytes())?))
}

/// The same for content that `write` produces.
pub(crate) fn save_with(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> Result<(), Problem> {
    let failed = || format!("cannot write {}", path.display());
    if is_device(path) {
        let mut device = File::options()
            .write(true)
            .open(path)
            .with_context(failed)?;
        return Ok(write(&mut device).with_context(failed)?);
    }
    // A link stays one, and its file is replaced.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder_of(&target))
        .with_context(failed)?;
    write(file.as_file_mut()).with_context(failed)?;
    file.persist(&target).with_context(failed)?;
    Ok(())
}

/// Fails if a file at this path could not be written later, or a folder not be made.
pub(crate) fn check(path: &Path) -> Result<(), Problem> {
    let wanted = match () {
        () if is_device(path) || path.is_dir() => path.to_owned(),
        // The first folder above it that exists is the one to write in.
        () if is_folder(path) => {
            let above = path.ancestors().skip(1).map(|folder| match folder {
                nothing if nothing.as_os_str().is_empty() => Path::new("."),
                folder => folder,
            });
            above
                .into_iter()
                .find(|folder| folder.exists())
                .unwrap_or(Path::new("."))
                .to_owned()
        }
        () => folder_of(path),
    };
    let writable = rustix::fs::access(&wanted, Access::WRITE_OK);
    let why = match writable {
        Ok(()) => return Ok(()),
        Err(error) => std::io::Error::from(error),
    };
    Err(
        Problem::usage(format!("cannot write {}: {why}", path.display()))
            .hint("nothing was started; name a place that can be written"),
    )
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
