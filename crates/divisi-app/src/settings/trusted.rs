//! Which files of settings the user has trusted, as they are.
//!
//! Trust holds for one file of one folder with one content: a file that is
//! edited, moved or copied has none. It is kept in the user's state, a file for
//! each, which only the user can read or write.

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

/// Records that are listed. Nobody has looked into more projects than this.
const LISTED_MAX: usize = 10_000;

/// The user's records.
#[derive(Clone, Debug)]
pub struct TrustedFiles {
    folder: PathBuf,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedFile {
    /// The file, in its folder free of links.
    pub file: PathBuf,
    /// The digest of what it said.
    pub digest: Digest,
}

/// How a file stands with the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The user has trusted it as it is.
    Trusted,
    /// It has changed since it was trusted.
    Changed,
    /// It was never trusted.
    Unknown,
}

impl TrustedFiles {
    /// Those of this user; `None` for someone without a home.
    pub fn of_user() -> Option<Self> {
        Some(Self {
            folder: state_folder()?.join("trusted"),
        })
    }

    /// How the file at `path` stands that has this digest.
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

    /// Trusts the file at `path` as long as it has this digest.
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
        // Such files can be read and written by their owner only.
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

    /// Takes trust back from the file at `path`; whether it had any.
    pub fn remove(&self, path: &Path) -> anyhow::Result<bool> {
        let record = self.record(&place(path)?);
        match std::fs::remove_file(&record) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot remove {}", record.display())),
        }
    }

    /// All of them, by their paths.
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

/// The file in its folder free of links. The file itself may be a link within
/// its project: its paths are meant from the folder in which it is found.
fn place(path: &Path) -> io::Result<PathBuf> {
    let folder = path.parent().unwrap_or(path);
    // Trust can be taken back from what is gone.
    let folder = folder
        .canonicalize()
        .or_else(|_| std::path::absolute(folder))?;
    Ok(folder.join(path.file_name().unwrap_or_default()))
}

/// A record that nobody else can have written.
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
        // A link to a trusted file is in another folder, from which its paths are meant.
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
        // One that others may have written says nothing.
        fs::set_permissions(&record, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(trusted.standing(&home.file("a"), text), Standing::Unknown);
        fs::set_permissions(&record, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&record, "nonsense").unwrap();
        assert_eq!(trusted.standing(&home.file("a"), text), Standing::Unknown);
    }
}
