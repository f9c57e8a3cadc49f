//! Records which settings files the user has trusted, with their content.
//!
//! Trust holds for one file in one folder with one content: after an edit, a move or a copy it is
//! gone. It is kept in the user's state folder, one file for each, readable and writable only by
//! the user.

use super::shape::state_folder;
use anyhow::{Context, bail};
use divisi_core::Digest;
use serde::{Deserialize, Serialize};
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Longest record: a path and a digest.
const BYTES_MAX: u64 = 16 * 1024;

/// Most records listed; more than the projects of any user.
const LISTED_MAX: usize = 10_000;

/// The user's records.
#[derive(Clone, Debug)]
pub struct TrustedFiles {
    folder: PathBuf,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedFile {
    /// The file; its folder is canonical.
    pub file: PathBuf,
    /// The digest of the trusted content.
    pub digest: Digest,
}

/// The user's decision about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Trusted with its present content.
    Trusted,
    /// Changed since it was trusted.
    Changed,
    /// Never trusted.
    Unknown,
}

impl TrustedFiles {
    /// The records of this user; `None` without a home folder.
    pub fn of_user() -> Option<Self> {
        Some(Self {
            folder: state_folder()?.join("trusted"),
        })
    }

    /// The decision about the file at `path` with this digest.
    pub fn standing(&self, path: &Path, digest: Digest) -> Standing {
        match place(path)
            .ok()
            .and_then(|file| read(&self.record(&file)).filter(|kept| kept.file == file))
        {
            None => Standing::Unknown,
            Some(kept) if kept.digest == digest => Standing::Trusted,
            Some(_) => Standing::Changed,
        }
    }

    /// Trusts the file at `path` with this digest.
    pub fn add(&self, path: &Path, digest: Digest) -> anyhow::Result<()> {
        let file = place(path)?;
        if file.to_str().is_none() {
            bail!("the path {} is not UTF-8", file.display());
        }
        let failed = || format!("cannot remember it in {}", self.folder.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .with_context(failed)?;
        // Temporary files are private to their owner.
        let mut record = tempfile::NamedTempFile::new_in(&self.folder).with_context(failed)?;
        record
            .write_all(&serde_json::to_vec(&TrustedFile {
                file: file.clone(),
                digest,
            })?)
            .with_context(failed)?;
        record.persist(self.record(&file)).with_context(failed)?;
        Ok(())
    }

    /// Revokes trust in the file at `path`; returns whether it had any.
    pub fn remove(&self, path: &Path) -> anyhow::Result<bool> {
        let record = self.record(&place(path)?);
        match std::fs::remove_file(&record) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot remove {}", record.display())),
        }
    }

    /// All records, sorted by path.
    pub fn list(&self) -> Vec<TrustedFile> {
        let records = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .take(LISTED_MAX);
        let mut files: Vec<_> = records
            .filter_map(|record| read(&record.ok()?.path()))
            .collect();
        files.sort_by(|a, b| a.file.cmp(&b.file));
        files
    }

    fn record(&self, file: &Path) -> PathBuf {
        self.folder.join(format!(
            "{}.json",
            Digest::of(file.as_os_str().as_encoded_bytes())
        ))
    }
}

/// The file with its folder canonical. The file itself may be a link within its project, because
/// its paths are relative to the folder in which it is found.
fn place(path: &Path) -> io::Result<PathBuf> {
    let folder = path.parent().unwrap_or(path);
    // Trust in a deleted folder can be revoked.
    let folder = folder
        .canonicalize()
        .or_else(|_| std::path::absolute(folder))?;
    Ok(folder.join(path.file_name().unwrap_or_default()))
}

/// Reads a record, if only the user can have written it.
fn read(path: &Path) -> Option<TrustedFile> {
    let metadata = path.symlink_metadata().ok()?;
    let others_may_write = metadata.mode() & 0o022 != 0;
    if metadata.uid() != rustix::process::geteuid().as_raw() || others_may_write {
        return None;
    }
    serde_json::from_slice(&divisi_files::read(path, BYTES_MAX).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            let home = Self(tempfile::tempdir().unwrap());
            for folder in ["a", "b"] {
                fs::create_dir(home.0.path().join(folder)).unwrap();
                fs::write(home.file(folder), "model = 'haiku'").unwrap();
            }
            home
        }

        fn file(&self, folder: &str) -> PathBuf {
            self.0.path().join(folder).join("divisi.toml")
        }

        fn trusted(&self) -> TrustedFiles {
            TrustedFiles {
                folder: self.0.path().join("state/divisi/trusted"),
            }
        }
    }

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    #[test]
    fn trust_is_for_one_file_in_one_place_with_one_content() {
        let (home, text) = (Home::new(), digest("model = 'haiku'"));
        let trusted = home.trusted();
        assert_eq!(trusted.standing(&home.file("a"), text), Standing::Unknown);
        trusted.add(&home.file("a"), text).unwrap();
        assert_eq!(trusted.standing(&home.file("a"), text), Standing::Trusted);
        assert_eq!(
            trusted.standing(&home.file("a"), digest("other")),
            Standing::Changed
        );
        assert_eq!(trusted.standing(&home.file("b"), text), Standing::Unknown);
        symlink("a", home.0.path().join("c")).unwrap();
        assert_eq!(trusted.standing(&home.file("c"), text), Standing::Trusted);
        // A link to a trusted file is in another folder, which its paths are relative to.
        fs::create_dir(home.0.path().join("d")).unwrap();
        symlink("../a/divisi.toml", home.file("d")).unwrap();
        assert_eq!(trusted.standing(&home.file("d"), text), Standing::Unknown);
    }

    #[test]
    fn trust_is_taken_back_and_listed() {
        let (home, text) = (Home::new(), digest("x"));
        let trusted = home.trusted();
        trusted.add(&home.file("b"), text).unwrap();
        trusted.add(&home.file("a"), text).unwrap();
        let files: Vec<_> = trusted.list().into_iter().map(|kept| kept.file).collect();
        let real = home.0.path().canonicalize().unwrap();
        assert_eq!(
            files,
            [real.join("a/divisi.toml"), real.join("b/divisi.toml")]
        );
        assert!(trusted.remove(&home.file("a")).unwrap());
        assert!(!trusted.remove(&home.file("a")).unwrap());
        assert_eq!(trusted.standing(&home.file("a"), text), Standing::Unknown);
        assert_eq!(trusted.list().len(), 1);
    }

    #[test]
    fn only_the_user_reads_and_writes_the_records() {
        let (home, text) = (Home::new(), digest("x"));
        let trusted = home.trusted();
        trusted.add(&home.file("a"), text).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let record = fs::read_dir(&trusted.folder)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        assert_eq!((mode(&trusted.folder), mode(&record)), (0o700, 0o600));
        // A record that other users may have written is ignored.
        fs::set_permissions(&record, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(trusted.standing(&home.file("a"), text), Standing::Unknown);
        fs::set_permissions(&record, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&record, "nonsense").unwrap();
        assert_eq!(trusted.standing(&home.file("a"), text), Standing::Unknown);
    }
}
