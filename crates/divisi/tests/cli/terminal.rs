//! A terminal to answer on.

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

/// Types an answer at a terminal; returns the exit code of the command and what the terminal shows.
pub(crate) fn at_a_terminal(mut command: Command, answer: &str) -> (Option<i32>, String) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, vec![]).unwrap();
    let no_ctty = OFlags::NOCTTY.bits().cast_signed();
    let path = OsStr::from_bytes(name.as_bytes());
    let terminal = File::options()
        .read(true)
        .write(true)
        .custom_flags(no_ctty)
        .open(path)
        .unwrap();
    let mut controller = File::from(controller);
    writeln!(controller, "{answer}").unwrap();
    let shown = std::thread::spawn(move || {
        let (mut shown, mut piece) = (vec![], [0; 4096]);
        // It fails once the terminal is closed.
        while let Ok(read @ 1..) = controller.read(&mut piece) {
            shown.extend_from_slice(&piece[..read]);
        }
        String::from_utf8_lossy(&shown).replace("\r\n", "\n")
    });
    command
        .env("NO_COLOR", "1")
        .env("TERM", "xterm")
        .stdout(Stdio::null())
        .stdin(terminal.try_clone().unwrap())
        .stderr(terminal);
    let status = command.status().unwrap();
    drop(command);
    (status.code(), shown.join().unwrap())
}
