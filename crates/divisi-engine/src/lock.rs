//! One driver per run: a lock that the system gives back when its holder dies.
//!
//! The expected position of an append is what really keeps two drivers apart.
//! The lock only says so earlier, before the second has replayed anything.

use crate::private;
use divisi_core::RunId;
use rustix::fs::OFlags;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest number of a process.
const NAME_BYTES_MAX: u64 = 20;

/// Held while a run is driven.
#[derive(Debug)]
pub(crate) struct RunLock {
    _file: File,
}

/// Why a run is not ours to drive.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process drives it.
    #[error("run {run} is being driven by process {holder}")]
    Held {
        /// Which run.
        run: RunId,
        /// Its process id, as far as it has said.
        holder: String,
    },
    /// The lock file cannot be made.
    #[error("cannot lock run {run} with {path}")]
    Io {
        /// Which run.
        run: RunId,
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl RunLock {
    /// Whether somebody holds the lock of `run` in `folder`.
    pub(crate) fn is_held(folder: &Path, run: &RunId) -> bool {
        holder(&folder.join(format!("{run}.lock"))).is_some()
    }

    /// A run whose lock in `folder` is held, and its holder; that of several
    /// whose name comes first.
    pub(crate) fn first_held(folder: &Path) -> Option<(RunId, String)> {
        let files = std::fs::read_dir(folder).ok()?;
        let held = files.filter_map(|file| {
            let path = file.ok()?.path();
            let is_lock = path.extension().is_some_and(|extension| extension == "lock");
            let run = RunId::new(path.file_stem().filter(|_| is_lock)?.to_str()?).ok()?;
            Some((run, holder(&path)?))
        });
        held.min()
    }

    /// Takes the lock of `run` in `folder`.
    pub(crate) fn take(folder: &Path, run: &RunId) -> Result<Self, LockError> {
        let path = folder.join(format!("{run}.lock"));
        let failed = |source| LockError::Io { run: run.clone(), path: path.clone(), source };
        private::folder(folder).map_err(failed)?;
        private::narrow(&path).map_err(failed)?;
        let mut file = private::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // A link in its place would have another file overwritten.
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { run: run.clone(), holder: name_in(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        write!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Who holds the lock file at `path`, if somebody does.
fn holder(path: &Path) -> Option<String> {
    let mut file = divisi_files::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(name_in(&mut file)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// The process id that a holder has written.
fn name_in(file: &mut File) -> String {
    let mut holder = String::new();
    // A holder that has not written yet is still a holder.
    let _ = file.take(NAME_BYTES_MAX).read_to_string(&mut holder);
    if holder.is_empty() { "of unknown number".to_owned() } else { holder }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_driver_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunId::new("a").unwrap();
        let lock = RunLock::take(folder.path(), &run).unwrap();
        let refused = RunLock::take(folder.path(), &run).unwrap_err();
        assert!(RunLock::is_held(folder.path(), &run));
        let holder = std::process::id().to_string();
        assert_eq!(RunLock::first_held(folder.path()), Some((run.clone(), holder)));
        assert_eq!(refused.to_string(), format!("run a is being driven by process {}", std::process::id()));
        drop(lock);
        assert!(!RunLock::is_held(folder.path(), &run));
        assert_eq!(RunLock::first_held(folder.path()), None);
        RunLock::take(folder.path(), &run).unwrap();
    }
}
