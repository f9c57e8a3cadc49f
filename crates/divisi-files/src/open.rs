//! Bounded opening and reading.

use rustix::fs::{FileType, Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Why a file is not read. The message is a lower-case phrase about the file.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is not a regular file.
    #[error("it is {0}, not a regular file")]
    Irregular(&'static str),
    /// Links or `..` lead out of the folder that must contain it.
    #[error("it leads out of {}", .0.display())]
    Outside(PathBuf),
    /// It has more bytes than permitted.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    /// It begins with a UTF-16 mark.
    #[error("it is UTF-16, not UTF-8: save it as UTF-8")]
    Utf16,
    /// It is not UTF-8.
    #[error("it is not UTF-8: byte 0x{byte:02x} in line {line}")]
    NotUtf8 {
        /// The first invalid byte.
        byte: u8,
        /// Its line, from 1.
        line: usize,
    },
    /// It contains a zero byte, which no text has.
    #[error("it is not UTF-8 text: a zero byte in line {line}")]
    Binary {
        /// The line of the byte, from 1.
        line: usize,
    },
    /// A system call failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for Refusal {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

impl Refusal {
    /// Whether the file does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Opening neither waits for the writer of a pipe nor makes a terminal the controlling one.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Paths under which shells pass input: `/dev/stdin`, and `<(command)`.
const HANDED_OVER: [&str; 3] = ["/dev/stdin", "/dev/fd/", "/proc/self/fd/"];

/// Opens the regular file at `path`. Links are followed anywhere.
pub fn open(path: &Path) -> Result<File, Refusal> {
    // Opening a device can have an effect, so the type is checked first.
    regular(FileType::from_raw_mode(rustix::fs::stat(path)?.st_mode))?;
    opened(rustix::fs::open(path, FILE, Mode::empty())?.into())
}

/// Opens the regular file at `path`, relative to `folder`, if it is below `folder` after all links
/// are followed.
pub fn open_below(folder: &Path, path: &Path) -> Result<File, Refusal> {
    let root = folder.canonicalize()?;
    let real = root.join(path).canonicalize()?;
    let outside = || Refusal::Outside(folder.to_owned());
    let inside = real.strip_prefix(&root).map_err(|_| outside())?;
    let name = inside.file_name().ok_or(Refusal::Irregular("a folder"))?;
    // The resolved path is opened step by step without following links: a link placed meanwhile
    // makes this fail instead of leading outside.
    let mut folder = rustix::fs::open(&root, FOLDER, Mode::empty())?;
    for step in inside.parent().into_iter().flatten() {
        folder = rustix::fs::openat(&folder, step, FOLDER, Mode::empty())?;
    }
    let stat = rustix::fs::statat(&folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
    regular(FileType::from_raw_mode(stat.st_mode))?;
    opened(rustix::fs::openat(&folder, name, FILE | OFlags::NOFOLLOW, Mode::empty())?.into())
}

/// Reads the regular file at `path`. Links are followed anywhere.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    all_of(open(path)?, bytes_max)
}

/// Reads the regular file at `path`, relative to `folder` and necessarily below it.
pub fn read_below(folder: &Path, path: &Path, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    all_of(open_below(folder, path)?, bytes_max)
}

/// Reads a path from the command line: a regular file, or input passed by the shell (`/dev/stdin`,
/// `<(command)`), for which it waits.
pub fn read_typed(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    let handed_over = path
        .to_str()
        .is_some_and(|path| HANDED_OVER.iter().any(|at| path.starts_with(at)));
    match handed_over {
        true => all_of(File::open(path)?, bytes_max),
        false => read(path, bytes_max),
    }
}

fn all_of(file: File, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > bytes_max {
        true => Err(Refusal::TooLarge(bytes_max)),
        false => Ok(bytes),
    }
}

/// The opened file, if it is regular: the path may have been replaced since the check.
fn opened(file: File) -> Result<File, Refusal> {
    regular(FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode))?;
    Ok(file)
}

fn regular(kind: FileType) -> Result<(), Refusal> {
    Err(Refusal::Irregular(match kind {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a folder",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Symlink => "a link",
        FileType::Unknown => "of unknown kind",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    /// A folder with everything that a clone can hold, next to a secret.
    struct Cloned(tempfile::TempDir);

    impl Cloned {
        fn new() -> Self {
            let clone = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(clone.path().join("sub")).unwrap();
            fs::write(clone.0.path().join("secret"), "secret").unwrap();
            fs::write(clone.path().join("sub/file"), "inside").unwrap();
            let mode = Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(
                rustix::fs::CWD,
                clone.path().join("pipe"),
                FileType::Fifo,
                mode,
                0,
            )
            .unwrap();
            for (link, to) in [
                ("near", "sub/file"),
                ("back", "sub/../sub/file"),
                ("far", "../secret"),
                ("zero", "/dev/zero"),
                ("to-pipe", "pipe"),
                ("loop", "loop"),
                ("gone", "nothing"),
                ("all", "/"),
                ("sub/up", ".."),
            ] {
                symlink(to, clone.path().join(link)).unwrap();
            }
            clone
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("clone")
        }

        /// The content read under that name, or the refusal.
        fn below(&self, name: &str) -> String {
            let read = read_below(&self.path(), Path::new(name), 6);
            read.map_or_else(
                |refusal| refusal.to_string(),
                |bytes| String::from_utf8(bytes).unwrap(),
            )
            .replace(&self.0.path().display().to_string(), "")
        }
    }

    #[test]
    fn only_regular_files_of_the_folder_are_read() {
        let clone = Cloned::new();
        let socket = UnixListener::bind(clone.path().join("socket")).unwrap();
        for (name, expected) in [
            ("sub/file", "inside"),
            ("near", "inside"),
            ("back", "inside"),
            ("sub/up/sub/up/sub/file", "inside"),
            ("far", "it leads out of /clone"),
            ("../secret", "it leads out of /clone"),
            ("all/etc/passwd", "it leads out of /clone"),
            ("/etc/passwd", "it leads out of /clone"),
            ("zero", "it leads out of /clone"),
            ("pipe", "it is a named pipe, not a regular file"),
            ("to-pipe", "it is a named pipe, not a regular file"),
            ("socket", "it is a socket, not a regular file"),
            ("sub", "it is a folder, not a regular file"),
            ("", "it is a folder, not a regular file"),
            ("loop", "Too many levels of symbolic links (os error 40)"),
            ("gone", "No such file or directory (os error 2)"),
        ] {
            assert_eq!(clone.below(name), expected, "{name}");
        }
        drop(socket);
    }

    #[test]
    fn without_a_folder_links_are_followed_to_regular_files_only() {
        let clone = Cloned::new();
        let said =
            |name: &str| read(&clone.path().join(name), 6).map_err(|refusal| refusal.to_string());
        assert_eq!(said("far").unwrap(), b"secret");
        assert_eq!(
            said("zero").unwrap_err(),
            "it is a device, not a regular file"
        );
        assert_eq!(
            said("pipe").unwrap_err(),
            "it is a named pipe, not a regular file"
        );
        assert!(
            read(&clone.path().join("gone"), 6)
                .unwrap_err()
                .is_missing()
        );
    }

    #[test]
    fn no_more_is_read_than_may_be() {
        let clone = Cloned::new();
        fs::write(clone.path().join("long"), "7 bytes").unwrap();
        assert_eq!(clone.below("long"), "it is larger than 6 bytes");
        // Its reported size is zero, but it has content.
        let endless = read(Path::new("/proc/self/status"), 6).unwrap_err();
        assert_eq!(endless.to_string(), "it is larger than 6 bytes");
    }

    #[test]
    fn what_a_shell_hands_over_is_read_and_no_pipe_of_another_name() {
        let clone = Cloned::new();
        let file = File::open(clone.path().join("sub/file")).unwrap();
        let handed = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        assert_eq!(read_typed(Path::new(&handed), 6).unwrap(), b"inside");
        assert!(read_typed(&clone.path().join("pipe"), 6).is_err());
        assert_eq!(read_typed(&clone.path().join("far"), 6).unwrap(), b"secret");
    }
}
