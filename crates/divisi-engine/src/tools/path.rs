//! Confines paths to a workspace.
//!
//! A path from a model is resolved once, following every link, and must then be below the root. The
//! resolved path is opened folder by folder from the root, following no link: a link created
//! between the check and the act makes the act fail rather than leave the workspace.

use super::protected::Protected;
use rustix::fs::{FileType, Mode, OFlags, RawMode};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest path from a model in bytes, as on Linux.
const PATH_BYTES_MAX: usize = 4096;

/// The mode bits kept when a file is replaced, and those left by the umask for a new one: no setuid
/// or setgid, and no write permission for all users.
const MODE_MAX: RawMode = 0o775;

/// The workspace is not a folder.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be a workspace", path.display())]
pub struct NoRoot {
    /// The path.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

/// The folder that paths cannot leave.
pub(super) struct Root {
    /// Absolute and free of links.
    path: PathBuf,
    folder: OwnedFd,
    protected: Protected,
}

/// A place below the root, existing or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Relative to the root, without links and `..`; empty for the root.
    path: PathBuf,
}

impl Place {
    /// The place of this name in the folder at this place.
    pub(super) fn child(&self, name: &OsStr) -> Self {
        Self {
            path: self.path.join(name),
        }
    }

    /// The folders above it, from the nearest to the root.
    pub(super) fn folders(&self) -> impl Iterator<Item = Self> {
        self.path.ancestors().skip(1).map(|path| Self {
            path: path.to_owned(),
        })
    }

    /// Relative to the workspace, as shown to models.
    pub(super) fn display(&self) -> String {
        match self.path.as_os_str().is_empty() {
            true => ".".to_owned(),
            false => self.path.display().to_string(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Root {
    pub(super) fn open(path: &Path, protected: Protected) -> Result<Self, NoRoot> {
        let fail = |source| NoRoot {
            path: path.to_owned(),
            source,
        };
        let real = path.canonicalize().map_err(fail)?;
        let folder = rustix::fs::open(&real, FOLDER, Mode::empty()).map_err(|e| fail(e.into()))?;
        Ok(Self {
            path: real,
            folder,
            protected,
        })
    }

    /// Absolute and free of links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Resolves `asked`, following links.
    ///
    /// The error is for the model. The place need not exist; then it is in the deepest existing
    /// folder of its path.
    pub(super) fn locate(&self, asked: &str) -> Result<Place, String> {
        if asked.len() > PATH_BYTES_MAX || asked.contains('\0') {
            return Err("this is not a path".to_owned());
        }
        let mut existing = self.path.join(asked);
        let mut missing = Vec::new();
        let real = loop {
            match existing.canonicalize() {
                Ok(real) => break real,
                Err(e)
                    if e.kind() == io::ErrorKind::NotFound
                        && existing.symlink_metadata().is_err() => {}
                // A dangling link could later lead outside.
                Err(e) => return Err(format!("`{asked}` cannot be resolved: {}", reason(&e))),
            }
            match existing.components().next_back() {
                Some(Component::Normal(name)) => missing.push(name.to_owned()),
                _ => {
                    return Err(format!(
                        "`{asked}` goes up from a folder that does not exist"
                    ));
                }
            }
            existing.pop();
        };
        let Ok(inside) = real.strip_prefix(&self.path) else {
            return Err(format!(
                "`{asked}` is outside the workspace; paths are relative to its root"
            ));
        };
        let mut path = inside.to_owned();
        path.extend(missing.iter().rev());
        Ok(Place { path })
    }

    /// Resolves a place to write to.
    pub(super) fn locate_writable(&self, asked: &str) -> Result<Place, String> {
        let place = self.locate(asked)?;
        if place.path.as_os_str().is_empty() {
            return Err(format!("`{asked}` is a folder"));
        }
        match self.protected.why(&self.path, &place.path) {
            Some(why) => Err(format!(
                "`{asked}` is protected: {why}; answer with the content instead"
            )),
            None => Ok(place),
        }
    }

    /// The kind of what exists there, never a link.
    pub(super) fn kind(&self, place: &Place) -> io::Result<FileType> {
        if place.path.as_os_str().is_empty() {
            return Ok(FileType::Directory);
        }
        let (folder, name) = self.open_parent(place, false)?;
        let stat = rustix::fs::statat(&folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    /// Opens the folder at this place.
    pub(super) fn open_folder(&self, place: &Place) -> io::Result<OwnedFd> {
        if place.path.as_os_str().is_empty() {
            return self.folder.try_clone();
        }
        let (folder, name) = self.open_parent(place, false)?;
        Ok(rustix::fs::openat(&folder, name, FOLDER, Mode::empty())?)
    }

    /// Opens the regular file at this place, for reading.
    pub(super) fn open_file(&self, place: &Place) -> io::Result<File> {
        let (folder, name) = self.open_parent(place, false)?;
        // Without NONBLOCK, opening a pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&folder, name, flags, Mode::empty())?);
        let kind = file.metadata()?.file_type();
        match (kind.is_file(), kind.is_dir()) {
            (true, _) => Ok(file),
            (false, true) => Err(io::ErrorKind::IsADirectory.into()),
            (false, false) => Err(io::Error::other("not a regular file")),
        }
    }

    /// Writes `content` there, completely or not at all. The file keeps the harmless part of the
    /// mode of the one it replaces. Creates missing folders.
    ///
    /// A hard link of the replaced file keeps the old content.
    pub(super) fn write_file(&self, place: &Place, content: &[u8]) -> io::Result<()> {
        let (folder, name) = self.open_parent(place, true)?;
        let (mode, there) =
            match rustix::fs::statat(&folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if !FileType::from_raw_mode(stat.st_mode).is_file() => {
                    return Err(io::Error::other("not a regular file"));
                }
                Ok(stat) => (Mode::from_raw_mode(stat.st_mode & MODE_MAX), true),
                Err(_) => (Mode::from_raw_mode(0o666 & MODE_MAX), false),
            };
        // Written to a draft and renamed, so that no reader ever sees half of the content.
        let draft = draft_name();
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&folder, &draft, flags, mode)?);
        let written = (|| {
            io::Write::write_all(&mut file, content)?;
            if there {
                // The umask has been removed from the mode of the new file.
                rustix::fs::fchmod(&file, mode)?;
            }
            rustix::fs::renameat(&folder, &draft, &folder, name)?;
            Ok(())
        })();
        if written.is_err() {
            // A draft that stays does no harm; the first failure is the one to report.
            let _ = rustix::fs::unlinkat(&folder, &draft, rustix::fs::AtFlags::empty());
        }
        written
    }

    /// Opens the parent folder of `place`, one step at a time.
    fn open_parent<'p>(&self, place: &'p Place, create: bool) -> io::Result<(OwnedFd, &'p OsStr)> {
        let name = place.path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let mut folder = self.folder.try_clone()?;
        for step in place.path.parent().into_iter().flatten() {
            folder = match rustix::fs::openat(&folder, step, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) if create => {
                    match rustix::fs::mkdirat(&folder, step, Mode::from_raw_mode(MODE_MAX)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(e) => return Err(e.into()),
                    }
                    rustix::fs::openat(&folder, step, FOLDER, Mode::empty())?
                }
                opened => opened?,
            };
        }
        Ok((folder, name))
    }
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The name of an unfinished file.
fn draft_name() -> OsString {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!(
        ".divisi-draft-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
    .into()
}

/// The reason in a few words, without the error number.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::NotADirectory => "a part of its path is not a folder".to_owned(),
        _ if Errno::from_io_error(error) == Some(Errno::LOOP) => {
            "its links go in a circle".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A workspace next to a secret, with all kinds of links.
    struct House {
        _whole: tempfile::TempDir,
        outside: PathBuf,
        root: Root,
    }

    fn house() -> House {
        let whole = tempfile::tempdir().unwrap();
        let (inside, outside) = (whole.path().join("in"), whole.path().join("out"));
        fs::create_dir_all(inside.join("a/b")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(inside.join("a/file"), "inside").unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        symlink("../out/secret", inside.join("to-secret")).unwrap();
        symlink(&outside, inside.join("to-outside")).unwrap();
        symlink(outside.join("not-yet"), inside.join("to-nothing")).unwrap();
        symlink("a/file", inside.join("to-file")).unwrap();
        symlink(inside.join("a"), inside.join("to-a")).unwrap();
        symlink("loop", inside.join("loop")).unwrap();
        let root = Root::open(&inside, Protected::default()).unwrap();
        House {
            _whole: whole,
            outside,
            root,
        }
    }

    fn found(house: &House, asked: &str) -> String {
        house.root.locate(asked).unwrap().display()
    }

    fn refused(house: &House, asked: &str) -> String {
        house.root.locate(asked).unwrap_err()
    }

    #[test]
    fn paths_inside_are_found_however_they_are_written() {
        let house = house();
        for asked in [
            "a/file",
            "./a//file",
            "a/b/../file",
            "to-file",
            "to-a/file",
            "../in/a/file",
        ] {
            assert_eq!(found(&house, asked), "a/file", "{asked}");
        }
        let absolute = house.root.path().join("a/file");
        assert_eq!(found(&house, absolute.to_str().unwrap()), "a/file");
        assert_eq!(found(&house, "."), ".");
        assert_eq!(found(&house, "new/deep/file"), "new/deep/file");
        assert_eq!(found(&house, "to-a/new"), "a/new");
    }

    #[test]
    fn paths_outside_are_refused() {
        let house = house();
        let secret = house.outside.join("secret");
        for asked in [
            "..",
            "../out/secret",
            "a/../../out/secret",
            "to-secret",
            "to-outside/secret",
            "to-outside/new",
            "to-outside/new/deep",
            "/",
            "/etc/passwd",
            secret.to_str().unwrap(),
            "../in2",
        ] {
            assert!(
                refused(&house, asked).contains("outside the workspace"),
                "{asked}"
            );
        }
    }

    #[test]
    fn paths_that_lead_nowhere_certain_are_refused() {
        let house = house();
        assert_eq!(
            refused(&house, "to-nothing"),
            "`to-nothing` cannot be resolved: it does not exist"
        );
        assert_eq!(
            refused(&house, "loop/x"),
            "`loop/x` cannot be resolved: its links go in a circle"
        );
        assert_eq!(
            refused(&house, "new/../../out"),
            "`new/../../out` goes up from a folder that does not exist"
        );
        assert_eq!(refused(&house, "a\0b"), "this is not a path");
        assert!(refused(&house, "a/file/deeper").contains("not a folder"));
    }

    #[test]
    fn a_link_that_appears_after_the_check_is_not_followed() {
        let house = house();
        let inside = house.root.path().to_owned();
        let (read, write) = (
            house.root.locate("a/file").unwrap(),
            house.root.locate("a/b/secret").unwrap(),
        );
        fs::remove_dir_all(inside.join("a")).unwrap();
        symlink(&house.outside, inside.join("a")).unwrap();
        assert!(house.root.open_file(&read).is_err());
        assert!(house.root.write_file(&write, b"overwritten").is_err());
        fs::remove_file(inside.join("a")).unwrap();
        fs::create_dir(inside.join("a")).unwrap();
        symlink(house.outside.join("secret"), inside.join("a/file")).unwrap();
        assert!(house.root.open_file(&read).is_err());
        assert!(house.root.write_file(&read, b"overwritten").is_err());
        assert_eq!(
            fs::read_to_string(house.outside.join("secret")).unwrap(),
            "secret"
        );
        assert_eq!(fs::read_dir(&house.outside).unwrap().count(), 1);
    }

    #[test]
    fn writing_keeps_the_mode_and_leaves_no_draft() {
        let house = house();
        let script = house.root.path().join("a/file");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o751)).unwrap();
        house
            .root
            .write_file(&house.root.locate("to-file").unwrap(), b"new")
            .unwrap();
        assert_eq!(fs::read_to_string(&script).unwrap(), "new");
        assert_eq!(
            fs::metadata(&script).unwrap().permissions().mode() & 0o777,
            0o751
        );
        assert!(house.root.path().join("to-file").is_symlink());
        assert!(
            house
                .root
                .write_file(&house.root.locate("a/b").unwrap(), b"x")
                .is_err()
        );
        let mut names: Vec<_> = fs::read_dir(house.root.path().join("a"))
            .unwrap()
            .flatten()
            .collect();
        names.sort_by_key(|entry| entry.file_name());
        assert_eq!(
            names.iter().map(|e| e.file_name()).collect::<Vec<_>>(),
            ["b", "file"]
        );
    }

    #[test]
    fn modes_that_give_away_rights_are_not_kept() {
        let house = house();
        let inside = house.root.path().to_owned();
        for (before, after) in [
            (0o4755, 0o755),
            (0o2771, 0o771),
            (0o1777, 0o775),
            (0o666, 0o664),
        ] {
            fs::set_permissions(inside.join("a/file"), fs::Permissions::from_mode(before)).unwrap();
            house
                .root
                .write_file(&house.root.locate("a/file").unwrap(), b"new")
                .unwrap();
            let mode = fs::metadata(inside.join("a/file"))
                .unwrap()
                .permissions()
                .mode()
                & 0o7777;
            assert_eq!(mode, after, "{before:o}");
        }
        house
            .root
            .write_file(&house.root.locate("new/file").unwrap(), b"new")
            .unwrap();
        for made in ["new", "new/file"] {
            let mode = fs::metadata(inside.join(made))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o7002, 0, "{made}: {mode:o}");
        }
    }

    #[test]
    fn a_pipe_is_refused_instead_of_waited_for() {
        let house = house();
        let pipe = house.root.path().join("pipe");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let error = house
            .root
            .open_file(&house.root.locate("pipe").unwrap())
            .unwrap_err();
        assert_eq!(reason(&error), "not a regular file");
    }

    proptest! {
        #[test]
        fn no_path_resolves_outside(
            steps in prop::collection::vec(
                prop::sample::select(vec![
                    "..", ".", "", "a", "b", "in", "out", "file", "secret", "to-secret", "to-outside",
                    "to-nothing", "to-file", "to-a", "loop", "new", "~", "\\", "…",
                ]),
                0..8,
            ),
            absolute: bool,
        ) {
            let house = house();
            let asked = format!("{}{}", if absolute { "/" } else { "" }, steps.join("/"));
            if let Ok(place) = house.root.locate(&asked) {
                prop_assert!(place.path().components().all(|c| matches!(c, Component::Normal(_))));
                let _ = house.root.write_file(&place, b"written");
            }
            prop_assert_eq!(fs::read_to_string(house.outside.join("secret")).unwrap(), "secret");
            prop_assert_eq!(fs::read_dir(&house.outside).unwrap().count(), 1);
        }

        #[test]
        fn no_text_resolves_outside(asked in ".{0,40}") {
            let house = house();
            if let Ok(place) = house.root.locate(&asked) {
                let there = house.root.path().join(place.path());
                prop_assert!(there.starts_with(house.root.path()));
                prop_assert!(place.path().components().all(|c| matches!(c, Component::Normal(_))));
            }
        }
    }
}
