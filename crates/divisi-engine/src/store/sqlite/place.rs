//! Checks that the path of a store still leads to the open file.
//!
//! A file that was deleted, renamed or replaced can still be written, but its journal would never
//! be read again. SQLite keeps three files: the store, its log and the shared memory. All three
//! must be the ones that were opened, or another process would see another journal.

use super::error::cannot_open;
use crate::store::StoreError;
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Suffixes of the files that SQLite keeps with a store.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// The files of an open store.
#[derive(Debug)]
pub(super) struct Place {
    files: Vec<(PathBuf, Identity)>,
    /// Size of the store when it was last looked at. It shrinks only when runs are removed; then its
    /// first page says how long it is.
    length: AtomicU64,
}

/// Identifies a file regardless of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

/// A store whose path no longer leads to it.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    path: String,
    how: String,
}

impl From<Gone> for StoreError {
    fn from(Gone { path, how }: Gone) -> Self {
        Self::Gone { path, how }
    }
}

impl From<&Metadata> for Identity {
    fn from(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
        }
    }
}

impl Place {
    /// The files of the store at `path`, which has just been opened and has its log.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let mut files = vec![path.to_owned()];
        files.extend(BESIDE.map(|end| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        }));
        let identity = |file: PathBuf| match std::fs::metadata(&file) {
            Ok(found) => Ok((file, Identity::from(&found))),
            Err(source) => Err(cannot_open(&file, source)),
        };
        let files = files.into_iter().map(identity).collect::<Result<_, _>>()?;
        let place = Self {
            files,
            length: AtomicU64::new(0),
        };
        place.check()?;
        Ok(place)
    }

    /// Fails if one of the files is missing, was replaced, or the store was truncated.
    pub(super) fn check(&self) -> Result<(), Gone> {
        for (number, (file, identity)) in self.files.iter().enumerate() {
            let how = match std::fs::metadata(file) {
                Ok(found) if Identity::from(&found) == *identity => {
                    // The log restarts from time to time and is shorter then.
                    let before = match number {
                        0 => self.length.load(Ordering::Relaxed),
                        _ => 0,
                    };
                    match found.len() < before && !is_whole(file, found.len()) {
                        false if number == 0 => {
                            self.length.store(found.len(), Ordering::Relaxed);
                            continue;
                        }
                        false => continue,
                        true => {
                            format!("was cut off: it had {before} bytes and has {}", found.len())
                        }
                    }
                }
                Ok(_) => "was replaced".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    "was deleted or renamed".to_owned()
                }
                Err(error) => format!("cannot be looked at ({error})"),
            };
            return Err(Gone {
                path: file.display().to_string(),
                how,
            });
        }
        Ok(())
    }
}

/// Whether a store of this size is as long as its first page says. SQLite writes that page before
/// it cuts off the end.
fn is_whole(path: &Path, bytes: u64) -> bool {
    let mut head = [0; HEAD_BYTES];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    let number = |at: usize, count: usize| {
        let bytes = head[at..at + count].iter();
        bytes.fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    // The value 1 stands for the largest page, whose size does not fit.
    let page = match number(16, 2) {
        1 => 65_536,
        page => page,
    };
    read.is_ok() && page > 0 && bytes >= page * number(28, 4)
}

/// Bytes of SQLite's header up to the end of the number of pages.
const HEAD_BYTES: usize = 32;

/// The canonical path of the existing store at `path`: absolute and without links. Locks and
/// SQLite's log are named by it.
///
/// Fails if the file has several hard links: SQLite would keep a log for each name, and processes
/// would not see each other's writes.
pub(super) fn name_of(path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |source| cannot_open(path, source);
    let name = path.canonicalize().map_err(failed)?;
    match std::fs::metadata(&name).map_err(failed)?.nlink() {
        0 | 1 => Ok(name),
        names => Err(StoreError::Linked {
            path: path.display().to_string(),
            names,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn store() -> (tempfile::TempDir, PathBuf, Place) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        for end in ["", "-wal", "-shm"] {
            fs::write(format!("{}{end}", path.display()), "x").unwrap();
        }
        let place = Place::of(&path).unwrap();
        (folder, path, place)
    }

    #[test]
    fn a_file_that_is_written_to_stays_where_it_is() {
        let (_folder, path, place) = store();
        fs::write(&path, "more").unwrap();
        place.check().unwrap();
        fs::write(&path, "").unwrap();
        let error = StoreError::from(place.check().unwrap_err()).to_string();
        let told = format!(
            "the store has gone: {} was cut off: it had 4 bytes and has 0",
            path.display()
        );
        assert_eq!(error, told);
    }

    #[test]
    fn whichever_file_goes_away_the_store_is_gone() {
        for end in ["", "-wal", "-shm"] {
            let (folder, path, place) = store();
            let file = format!("{}{end}", path.display());
            fs::rename(&file, folder.path().join("elsewhere")).unwrap();
            let error = StoreError::from(place.check().unwrap_err()).to_string();
            assert_eq!(
                error,
                format!("the store has gone: {file} was deleted or renamed")
            );
            // Another file at that path is another store.
            fs::write(&file, "x").unwrap();
            let error = StoreError::from(place.check().unwrap_err()).to_string();
            assert_eq!(error, format!("the store has gone: {file} was replaced"));
            fs::rename(folder.path().join("elsewhere"), &file).unwrap();
            place.check().unwrap();
        }
        let (folder, _, place) = store();
        let moved = folder.path().with_extension("moved");
        fs::rename(folder.path(), &moved).unwrap();
        assert!(place.check().is_err(), "its folder is another one");
        fs::remove_dir_all(moved).unwrap();
    }

    #[test]
    fn links_lead_to_one_name_and_a_second_name_is_refused() {
        let (folder, path, _) = store();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(name_of(&link).unwrap(), name_of(&path).unwrap());
        let dots = folder.path().join("x/../a.db");
        fs::create_dir(folder.path().join("x")).unwrap();
        assert_eq!(name_of(&dots).unwrap(), name_of(&path).unwrap());
        fs::hard_link(&path, folder.path().join("hard.db")).unwrap();
        assert!(matches!(
            name_of(&path),
            Err(StoreError::Linked { names: 2, .. })
        ));
    }
}
