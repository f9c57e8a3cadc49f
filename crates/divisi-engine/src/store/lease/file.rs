//! A lock file for each run, which the system unlocks when its holder dies.

use super::{Lease, LeaseError, Leases};
use crate::private;
use crate::store::BackendError;
use async_trait::async_trait;
use divisi_core::RunId;
use rustix::fs::OFlags;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest process id in digits.
const NAME_BYTES_MAX: u64 = 20;

/// Leases as locks of files in one folder, for the processes of one machine. The system releases a
/// lock when its holder dies.
#[derive(Clone, Debug)]
pub struct FileLeases {
    folder: PathBuf,
}

/// A file that is locked while open.
struct FileLease {
    _file: File,
}

impl FileLeases {
    /// Leases in `folder`, which is created with the first one.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The folder of the lock files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The first leased run by file name, with its holder.
    #[cfg(feature = "sqlite")]
    pub(in crate::store) fn first_held(&self) -> Option<(RunId, String)> {
        let files = std::fs::read_dir(&self.folder).ok()?;
        let held = files.filter_map(|file| {
            let path = file.ok()?.path();
            let is_lock = path
                .extension()
                .is_some_and(|extension| extension == "lock");
            let run = RunId::new(path.file_stem().filter(|_| is_lock)?.to_str()?).ok()?;
            Some((run, holder(&path)?))
        });
        held.min()
    }

    fn file_of(&self, run: &RunId) -> PathBuf {
        self.folder.join(format!("{run}.lock"))
    }

    fn lock(&self, run: &RunId) -> Result<FileLease, LeaseError> {
        let path = self.file_of(run);
        let failed = |source| {
            BackendError::new(
                format!("cannot lock run {run} with {}", path.display()),
                source,
            )
            .with_hint("make its folder one that you may write in")
        };
        private::folder(&self.folder).map_err(failed)?;
        private::narrow(&path).map_err(failed)?;
        let mut file = private::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // Does not follow links, because writing the process id would overwrite their target.
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LeaseError::Held {
                    run: run.clone(),
                    holder: name_in(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source).into()),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .map_err(failed)?;
        write!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(FileLease { _file: file })
    }
}

// Never waits for a lock, so it needs no thread of its own.
#[async_trait]
impl Leases for FileLeases {
    async fn take(&self, run: &RunId) -> Result<Box<dyn Lease>, LeaseError> {
        Ok(Box::new(self.lock(run)?))
    }

    async fn holder(&self, run: &RunId) -> Result<Option<String>, LeaseError> {
        Ok(holder(&self.file_of(run)))
    }
}

impl Lease for FileLease {}

/// The holder of the lock file at `path`, if it is locked and can be opened.
fn holder(path: &Path) -> Option<String> {
    let mut file = divisi_files::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(name_in(&mut file)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// The process id written by the holder.
fn name_in(file: &mut File) -> String {
    let mut holder = String::new();
    // A holder that has not written its id yet also holds the lock.
    let _ = file.take(NAME_BYTES_MAX).read_to_string(&mut holder);
    let number = if holder.is_empty() {
        "of unknown number"
    } else {
        &holder
    };
    format!("process {number}")
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_all_runs_that_are_driven_the_first_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let leases = FileLeases::new(folder.path());
        let run = RunId::new("a").unwrap();
        let lease = leases.take(&run).await.unwrap();
        let me = format!("process {}", std::process::id());
        assert_eq!(leases.first_held(), Some((run.clone(), me.clone())));
        let refused = leases.take(&run).await.map(drop).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("run a is being driven by {me}")
        );
        drop(lease);
        assert_eq!(leases.first_held(), None);
    }
}
