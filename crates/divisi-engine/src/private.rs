//! Files and folders of divisi that only their owner may read.
//!
//! They contain prompts, files and output of programs. New ones are private whatever the umask, and
//! ones made by an older divisi are narrowed. Folders chosen by the user, such as a project, keep
//! their modes.

use etcetera::BaseStrategy;
use std::fs::{DirBuilder, OpenOptions, Permissions, set_permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// All mode bits of users other than the owner.
const OTHERS: u32 = 0o077;

/// Makes a folder of divisi, and missing ones above it.
pub fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    narrow(path)
}

/// Makes the folder of a file whose path the user may have chosen.
pub fn folder_of(file: &Path) -> io::Result<()> {
    let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Ok(());
    };
    match is_ours(folder) {
        true => self::folder(folder),
        false => DirBuilder::new().recursive(true).mode(0o700).create(folder),
    }
}

/// Whether a folder belongs to divisi alone. The check is by name, and a project may have the same
/// one.
fn is_ours(folder: &Path) -> bool {
    let is_of_user = || {
        etcetera::choose_base_strategy().is_ok_and(|folders| {
            let bases = [Some(folders.data_dir()), folders.state_dir()];
            bases
                .into_iter()
                .flatten()
                .any(|base| base.join("divisi") == folder)
        })
    };
    folder.file_name().is_some_and(|name| name == ".divisi") || is_of_user()
}

/// Options to open a file, private if it is created.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Writes a file, private if it is created. An existing one keeps its mode, because the user may
/// have set it.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?
        .write_all(text.as_bytes())
}

/// Removes the rights of other users on a file or folder of divisi. Missing ones and those of other
/// users are ignored.
///
/// Works by name, without opening the file: closing a file would release all locks that the process
/// has on it, including those of SQLite.
pub fn narrow(path: &Path) -> io::Result<()> {
    let metadata = match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    let mode = metadata.permissions().mode();
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    match is_ours && mode & OTHERS != 0 {
        true => set_permissions(path, Permissions::from_mode(mode & 0o7777 & !OTHERS)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::create_dir;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("share/divisi");
        super::folder(&deep).unwrap();
        let file = deep.join("a");
        write(&file, "secret").unwrap();
        assert_eq!(
            [mode(&folder.path().join("share")), mode(&deep), mode(&file)],
            [0o700, 0o700, 0o600]
        );
    }

    #[test]
    fn what_is_ours_is_narrowed_and_the_rest_is_not() {
        let folder = tempfile::tempdir().unwrap();
        for (name, after) in [("project", 0o755), ("divisi", 0o755), (".divisi", 0o700)] {
            let path = folder.path().join(name);
            create_dir(&path).unwrap();
            set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            folder_of(&path.join("runs.db")).unwrap();
            assert_eq!(mode(&path), after, "{name}");
        }
        let file = folder.path().join("chosen");
        std::fs::write(&file, "x").unwrap();
        set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        write(&file, "y").unwrap();
        assert_eq!(mode(&file), 0o644);
        narrow(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
        narrow(&folder.path().join("not there")).unwrap();
        folder_of(Path::new("runs.db")).unwrap();
    }
}
