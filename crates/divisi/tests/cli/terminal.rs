//! A terminal to answer on, or to look at.

use crate::stopping::wait_until;
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a test waits for something to be shown; it takes so long only if it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The two ends of a new terminal: that of a user, and that of the command.
fn ends() -> (File, File) {
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
    (File::from(controller), terminal)
}

/// A command on a terminal of 100 columns, which a test looks at and types on.
pub(crate) struct Screen {
    controller: File,
    terminal: File,
    child: Child,
    arrives: Receiver<Vec<u8>>,
    shown: vt100::Parser,
}

impl Screen {
    const ROWS: u16 = 30;
    const COLUMNS: u16 = 100;

    /// The command with all three streams on the terminal, which is that of its own session, so that
    /// it is in the foreground there.
    pub(crate) fn of(given: Command) -> Self {
        let mut command = Command::new("setsid");
        command
            .arg("--ctty")
            .arg(given.get_program())
            .args(given.get_args())
            .current_dir(given.get_current_dir().unwrap())
            .env_clear();
        for (name, value) in given.get_envs() {
            command.env(name, value.unwrap());
        }
        let (controller, terminal) = ends();
        let size = Winsize {
            ws_row: Self::ROWS,
            ws_col: Self::COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal, size).unwrap();
        command
            .env("NO_COLOR", "1")
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal.try_clone().unwrap());
        let child = command.spawn().unwrap();
        let (sends, arrives) = channel();
        let mut reader = controller.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut piece) {
                if sends.send(piece[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        let shown = vt100::Parser::new(Self::ROWS, Self::COLUMNS, 0);
        Self {
            controller,
            terminal,
            child,
            arrives,
            shown,
        }
    }

    pub(crate) fn contents(&self) -> String {
        let rows: Vec<String> = self.shown.screen().rows(0, Self::COLUMNS).collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// Waits until the screen shows this.
    pub(crate) fn wait_for(&mut self, what: &str) {
        while !self.contents().contains(what) {
            match self.arrives.recv_timeout(PATIENCE) {
                Ok(bytes) => self.shown.process(&bytes),
                Err(_) => panic!("no `{what}` on the screen:\n{}", self.contents()),
            }
        }
    }

    /// Waits until the terminal passes on each key at once.
    pub(crate) fn wait_for_keys(&mut self) {
        self.wait_for("? keys");
        wait_until(|| !self.is_usual());
    }

    /// Whether the terminal prints what is typed and passes it on line by line.
    pub(crate) fn is_usual(&self) -> bool {
        let usual = LocalModes::ICANON | LocalModes::ECHO;
        let modes: Termios = tcgetattr(&self.terminal).unwrap();
        modes.local_modes.contains(usual)
    }

    /// Ends the command with this signal.
    pub(crate) fn signals(&self, signal: rustix::process::Signal) {
        let child = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(child, signal).unwrap();
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.controller.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end of the command; returns its exit code. The screen then shows all of it.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let code = self.child.wait().unwrap().code();
        // What was written is read by then, up to this mark.
        self.terminal.write_all(b"\x1b]0;end\x07").unwrap();
        let mut seen = vec![];
        while !seen.ends_with(b"\x1b]0;end\x07") {
            let bytes = self.arrives.recv_timeout(PATIENCE).unwrap();
            self.shown.process(&bytes);
            seen.extend(bytes);
        }
        code
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Types an answer at a terminal; returns the exit code of the command and what the terminal shows.
pub(crate) fn at_a_terminal(mut command: Command, answer: &str) -> (Option<i32>, String) {
    let (mut controller, terminal) = ends();
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
