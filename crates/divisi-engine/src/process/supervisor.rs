//! A supervisor process between divisi and each program: all that the program starts stays a
//! descendant of it, and is killed with the call or when divisi dies.
//!
//! A daemon leaves its parent, its process group, its session and its environment. It cannot leave
//! the nearest *subreaper* above it, which becomes the parent of orphans. So each call has a
//! subreaper of its own: it starts the program, waits for it, kills all remaining descendants, and
//! exits like the program. The system also signals it when divisi dies, even by `kill -9`.
//!
//! The `divisi` binary is its own supervisor: it starts itself again, which takes some
//! milliseconds. Programs that use the library have none, because safe code cannot set these
//! attributes in a child; for them [`tree`](super::tree) finds as many processes as it can. Linux
//! only.

use super::tree::linux::Descendants;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpid, getppid,
    kill_process, kill_process_group, set_child_subreaper, set_parent_process_death_signal,
    setrlimit, wait, waitid,
};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use tokio::signal::unix::{SignalKind, signal};

/// The first argument of a supervisor.
const ARGUMENT: &str = "--supervise-a-program";

/// The path by which this process is started again. It stays valid when the file is replaced.
const OURSELVES: &str = "/proc/self/exe";

/// The signal that a supervisor gets when divisi has died.
const DEATH: Signal = Signal::USR2;

/// The exit code of shells for a program that was found and cannot be started.
const NOT_STARTED: u8 = 126;

/// Set once programs are supervised.
static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// Runs this process as a supervisor, if it was started as one; otherwise returns `None`. Must be
/// the first call of `main`.
pub fn be_supervisor() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    args.next().filter(|first| first == ARGUMENT)?;
    let driver = args.next().and_then(|driver| driver.to_str()?.parse().ok());
    let (driver, program) = (driver?, args.next()?);
    Some(match watch_over(driver, &program, args) {
        Ok(status) => end_like(status),
        Err(error) => {
            // Failing to write is ignored, because the exit code says the same.
            let _ = writeln!(
                io::stderr(),
                "divisi: cannot start `{}`: {error}",
                program.to_string_lossy()
            );
            ExitCode::from(NOT_STARTED)
        }
    })
}

/// From now on each program of this process gets a supervisor, by starting its own binary again,
/// which must call [`be_supervisor`]. If a supervisor is killed, its orphans become children of
/// this process, and [`end_all`] kills them.
pub fn supervise() {
    // Existing children were not started by divisi: a shell has replaced itself by this process.
    if !has_children()
        && Path::new(OURSELVES).exists()
        && set_child_subreaper(Some(getpid())).is_ok()
    {
        let _ = BINARY.set(OURSELVES.into());
    }
}

/// Kills all remaining descendants of this process, at its end. Does nothing without [`supervise`].
pub fn end_all() {
    if BINARY.get().is_some() {
        end_descendants();
    }
}

/// Kills all descendants of this process. It is a subreaper, so none can escape.
fn end_descendants() {
    if has_children() {
        Descendants::of(getpid()).kill();
    }
}

/// Whether this process has children, including ended ones that have not been waited for.
fn has_children() -> bool {
    let looked = waitid(
        WaitId::All,
        WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
    );
    !matches!(looked, Err(rustix::io::Errno::CHILD))
}

/// Whether programs of this process are supervised.
pub(super) fn is_on() -> bool {
    BINARY.get().is_some()
}

/// The command that runs `program` under a supervisor; `None` without supervision.
pub(super) fn command(program: &OsStr, args: &[OsString]) -> Option<tokio::process::Command> {
    let mut command = tokio::process::Command::new(BINARY.get()?);
    command
        .arg0("divisi")
        .arg(ARGUMENT)
        .arg(getpid().as_raw_nonzero().to_string())
        .arg(program)
        .args(args);
    Some(command)
}

/// Runs the program to its end and kills its remaining descendants.
fn watch_over(
    driver: i32,
    program: &OsStr,
    args: impl Iterator<Item = OsString>,
) -> io::Result<WaitStatus> {
    set_child_subreaper(Some(getpid()))?;
    // Sent by the system even if divisi is ended by `kill -9`.
    set_parent_process_death_signal(Some(DEATH))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut terminate, mut death) = {
        let _in_runtime = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::user_defined2())?,
        )
    };
    // The program inherits none of the signal handlers, because exec resets them.
    let child = Command::new(program).args(args).process_group(0).spawn()?;
    let program = Pid::from_child(&child);
    // On another thread, because `wait` below blocks this one.
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => drop(kill_process_group(program, Signal::TERM)),
                    _ = death.recv() => drop(kill_process_group(program, Signal::KILL)),
                }
            }
        });
    });
    if getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(driver) {
        // Divisi died before the death signal was requested.
        let _ = kill_process_group(program, Signal::KILL);
    }
    let status = loop {
        // Waiting for orphans as well removes them from the process table.
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == program => break status,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let _ = kill_process_group(program, Signal::KILL);
    end_descendants();
    Ok(status)
}

/// Exits like the program.
fn end_like(status: WaitStatus) -> ExitCode {
    let Some(number) = status.terminating_signal() else {
        return ExitCode::from(status.exit_status().map_or(NOT_STARTED, |code| code as u8));
    };
    // The program may have written a core file; a second one is of no use.
    let _ = setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    );
    if let Some(signal) = Signal::from_named_raw(number) {
        let _ = kill_process(getpid(), signal);
    }
    // If the signal did not end this process, exits with the code that shells use for it.
    ExitCode::from((128 + number) as u8)
}
