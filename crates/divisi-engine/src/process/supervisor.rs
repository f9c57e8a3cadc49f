//! A process of ours between us and each program: whatever the program starts
//! stays its descendant, and dies with the call, or with us.
//!
//! A daemon leaves its parent, its process group, its session and its environment
//! behind. What it cannot leave is the nearest *subreaper* above it, to which the
//! system gives orphans. So each call has a subreaper of its own: it starts the
//! program, waits for it, kills all that it has left running, and ends as the
//! program did. The system also tells it when we die, be it by `kill -9`.
//!
//! The `divisi` binary is its own supervisor: it starts itself again, which takes
//! some milliseconds. Programs that use the library do without, because no
//! safe code sets these attributes in a child; for them [`tree`](super::tree) finds
//! what it can. Linux only.

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

/// How this process is started again. A link that holds when the file is replaced.
const OURSELVES: &str = "/proc/self/exe";

/// What the system sends a supervisor when we have died.
const DEATH: Signal = Signal::USR2;

/// What shells end with when a program is found and cannot be started.
const NOT_STARTED: u8 = 126;

/// Set once programs are to be supervised.
static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// What a supervisor does from its first moment to its last; `None` in a process
/// that is none. The first thing that `main` calls.
pub fn be_supervisor() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    args.next().filter(|first| first == ARGUMENT)?;
    let driver = args.next().and_then(|driver| driver.to_str()?.parse().ok());
    let (driver, program) = (driver?, args.next()?);
    Some(match watch_over(driver, &program, args) {
        Ok(status) => end_like(status),
        Err(error) => {
            // Nobody may read it; the exit code says the same.
            let _ = writeln!(
                io::stderr(),
                "divisi: cannot start `{}`: {error}",
                program.to_string_lossy()
            );
            ExitCode::from(NOT_STARTED)
        }
    })
}

/// Has each program of this process supervised from now on, by starting its own
/// binary again, which must call [`be_supervisor`]. Orphans of a supervisor that is
/// killed come to this process, and are killed by [`end_all`].
pub fn supervise() {
    // Children that are here already are not ours to kill: a shell has become this process.
    if !has_children()
        && Path::new(OURSELVES).exists()
        && set_child_subreaper(Some(getpid())).is_ok()
    {
        let _ = BINARY.set(OURSELVES.into());
    }
}

/// Kills whatever programs of this process have left, to be called at its end.
/// Does nothing where [`supervise`] was not called.
pub fn end_all() {
    if BINARY.get().is_some() {
        end_descendants();
    }
}

/// Kills all below this process, a subreaper: none can get away from it.
fn end_descendants() {
    if has_children() {
        Descendants::of(getpid()).kill();
    }
}

/// Whether this process has children, ended ones that were not waited for included.
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

/// The command that runs `program` supervised; `None` where that is not done.
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

/// Runs the program to its end and kills what it has left.
fn watch_over(
    driver: i32,
    program: &OsStr,
    args: impl Iterator<Item = OsString>,
) -> io::Result<WaitStatus> {
    set_child_subreaper(Some(getpid()))?;
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
    // Handlers do not outlive the start of a program, so it has none of these.
    let child = Command::new(program).args(args).process_group(0).spawn()?;
    let program = Pid::from_child(&child);
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
        // It has died before the system was asked to tell us.
        let _ = kill_process_group(program, Signal::KILL);
    }
    let status = loop {
        // Orphans are waited for, too: only so do they leave the list of processes.
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

/// Ends as the program did.
fn end_like(status: WaitStatus) -> ExitCode {
    let Some(number) = status.terminating_signal() else {
        return ExitCode::from(status.exit_status().map_or(NOT_STARTED, |code| code as u8));
    };
    // One core file of the program is enough.
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
    // A signal that is handled or ignored here is told as shells tell it.
    ExitCode::from((128 + number) as u8)
}
