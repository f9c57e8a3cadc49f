//! A text that is taken from stdin.

use anyhow::Context as _;
use divisi_app::{App, Problem};
use divisi_files::Refusal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::ioctl_fionread;
use std::io::{self, Read};

/// Longest text; the same limit as for files whose text is put into a prompt.
const BYTES_MAX: u64 = 16 << 20;

/// Time without anything on stdin after which the wait for it is reported.
const PATIENCE: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

/// The text on stdin, if that is a pipe or a file; `None` if it is neither or holds only blanks.
/// Waits until it ends: its producer may work for a long time.
pub(crate) fn piped(app: &App) -> Result<Option<String>, Problem> {
    if !is_piped() {
        return Ok(None);
    }
    let stdin = io::stdin();
    let is_silent = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&PATIENCE)) == Ok(0);
    if is_silent {
        app.note("waiting for stdin, which belongs to the prompt; `< /dev/null` gives none");
    }
    read(stdin.lock()).map(|text| Some(text).filter(|text| !text.trim().is_empty()))
}

/// The text on stdin to its end, whatever stdin is.
pub(crate) fn all() -> Result<String, Problem> {
    let text = read(io::stdin().lock())?;
    match text.trim().is_empty() {
        true => Err(Problem::usage("there is nothing on stdin")),
        false => Ok(text),
    }
}

/// Whether there is something on stdin already that the command does not read.
pub(crate) fn is_ignored() -> bool {
    is_piped() && ioctl_fionread(io::stdin()).is_ok_and(|bytes| bytes > 0)
}

fn is_piped() -> bool {
    let kind = fstat(io::stdin()).map(|stat| FileType::from_raw_mode(stat.st_mode));
    matches!(
        kind,
        Ok(FileType::Fifo | FileType::RegularFile | FileType::Socket)
    )
}

fn read(stdin: impl Read) -> Result<String, Problem> {
    let mut bytes = vec![];
    let read = stdin.take(BYTES_MAX + 1).read_to_end(&mut bytes);
    let text = read
        .map_err(Refusal::from)
        .and_then(|_| match bytes.len() as u64 > BYTES_MAX {
            true => Err(Refusal::TooLarge(BYTES_MAX)),
            false => divisi_files::text(bytes),
        });
    Ok(text.context("cannot read stdin")?)
}
