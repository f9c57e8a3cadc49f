//! Child programs: started with bounds, and gone afterwards.
//!
//! A program gets its input, its environment and its limits before it starts,
//! and leaves an [`Exit`] or a [`ProcessError`]. Whatever way it ends, nothing
//! that it started outlives the call: not after a timeout, not when the future
//! is dropped, and not after a normal end either, because a thousand agents
//! that each leave a server behind would take the machine down.
//!
//! Left out on purpose: terminals, and pipelines (ask a shell).

mod output;
#[cfg(target_os = "linux")]
mod supervisor;
mod tree;
#[cfg(not(target_os = "linux"))]
mod unsupervised;

pub use output::Output;
#[cfg(target_os = "linux")]
pub use supervisor::{be_supervisor, end_all, supervise};
#[cfg(not(target_os = "linux"))]
pub use unsupervised::{be_supervisor, end_all, supervise};

use crate::copies::{CEILING, git_environment};
use divisi_providers::redact;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tree::Tree;

/// How long a program may tidy up after it was asked to stop. Agent programs
/// save their session in well under a second; a person who cancels waits.
const GRACE: Duration = Duration::from_secs(3);

/// How long output is awaited after the program itself has ended. Long enough
/// to empty the pipes, short enough that a background child which keeps them
/// open does not matter.
const DRAIN: Duration = Duration::from_millis(500);

/// Bytes read at a time: one full pipe on Linux.
const CHUNK_BYTES: usize = 64 * 1024;

/// A program to run, and the bounds it runs in.
pub struct Program {
    program: OsString,
    args: Vec<OsString>,
    cwd: Option<PathBuf>,
    env: Vec<(OsString, Option<OsString>)>,
    env_inherited: bool,
    stdin: Option<Vec<u8>>,
    on_stdout: Option<Listener>,
    limits: Limits,
}

/// Hears what a program prints while it runs.
type Listener = Box<dyn Fn(&[u8]) + Send + Sync>;

/// What a program may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time from start to end; none when absent.
    pub timeout: Option<Duration>,
    /// Longest time without output on either channel; none when absent.
    pub idle_timeout: Option<Duration>,
    /// How many bytes are kept of each output. The middle of a longer one is
    /// left out.
    pub output_bytes_max: usize,
}

impl Limits {
    /// Bytes kept of each output unless said otherwise: more than any result a
    /// model should be shown, little enough for a thousand programs at once.
    pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: None,
            idle_timeout: None,
            output_bytes_max: Self::OUTPUT_BYTES_MAX,
        }
    }
}

impl Program {
    /// A program found in `PATH`, or by its path, without arguments or input.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            cwd: None,
            env: Vec::new(),
            env_inherited: true,
            stdin: None,
            on_stdout: None,
            limits: Limits::default(),
        }
    }

    /// A line for the shell.
    pub fn shell(line: impl Into<OsString>) -> Self {
        Self::new("sh").arg("-c").arg(line)
    }

    /// With one more argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// With more arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// In this folder instead of ours.
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    /// With this variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// Without this variable of ours.
    pub fn without_env(mut self, name: impl Into<OsString>) -> Self {
        self.env.push((name.into(), None));
        self
    }

    /// Without those of our variables that hold a secret, such as
    /// `ANTHROPIC_API_KEY`: what a model makes a program print is recorded.
    pub fn without_secrets(mut self) -> Self {
        self.env.extend(
            redact::known()
                .variables()
                .map(|name| (name.to_owned(), None)),
        );
        self
    }

    /// Without any variable of ours; only what [`Program::env`] adds.
    pub fn with_empty_env(mut self) -> Self {
        self.env_inherited = false;
        self
    }

    /// With this on its standard input. Without it the input is empty.
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(input.into());
        self
    }

    /// Hands over what it prints as it comes, all of it: in pieces, with its secrets.
    pub fn on_stdout(mut self, listener: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        self.on_stdout = Some(Box::new(listener));
        self
    }

    /// Within these limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Runs it to its end.
    ///
    /// An exit code other than zero is an [`Exit`], not an error. Dropping the
    /// future kills the program and all that it started.
    pub async fn run(self, cancel: &CancellationToken) -> Result<Exit, ProcessError> {
        let name = self.program.to_string_lossy().into_owned();
        let (mut child, mut tree) = self.spawn(&name)?;
        let mut stdout = Output::new(self.limits.output_bytes_max);
        let mut stderr = Output::new(self.limits.output_bytes_max);
        let progress = Notify::new();

        let ended = {
            let talk = {
                let input = feed(child.stdin.take(), self.stdin.unwrap_or_default());
                let on_stdout = self.on_stdout.as_ref();
                let out = drain(child.stdout.take(), &mut stdout, &progress, on_stdout);
                let err = drain(child.stderr.take(), &mut stderr, &progress, None);
                async { tokio::join!(input, out, err) }
            };
            let mut end = std::pin::pin!(end(&mut child, talk));
            tokio::select! {
                status = &mut end => Ok(status),
                stop = stop(self.limits, &progress, cancel) => {
                    tree.terminate();
                    // Its last words are kept; whether it has ended is the tree's business.
                    let _ = tokio::time::timeout(GRACE, &mut end).await;
                    Err(stop)
                }
            }
        };
        match &ended {
            // A supervisor that was not killed itself has left nothing.
            Ok(Ok(status)) if status.code().is_some() && is_supervised() => tree.is_over(),
            Ok(_) | Err(_) => tree.kill().await,
        }

        match ended {
            Ok(status) => {
                let status = status.map_err(|source| ProcessError::Lost {
                    program: name,
                    source,
                })?;
                Ok(Exit {
                    status: status.into(),
                    stdout,
                    stderr,
                })
            }
            Err(why) => Err(ProcessError::Stopped {
                program: name,
                why,
                said: Box::new(Said { stdout, stderr }),
            }),
        }
    }

    fn spawn(&self, name: &str) -> Result<(Child, Tree), ProcessError> {
        if let Some(cwd) = self.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
            return Err(ProcessError::NoFolder {
                program: name.to_owned(),
                folder: cwd.clone(),
            });
        }
        let mark = tree::Mark::new();
        let mut command = self.command(name)?;
        if !self.env_inherited {
            command.env_clear();
        }
        if let Some((misleading, ceiling)) = self.cwd.as_deref().and_then(git_environment) {
            misleading
                .iter()
                .for_each(|name| _ = command.env_remove(name));
            command.env(CEILING, ceiling);
        }
        for (key, value) in &self.env {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        let child = command
            .env(tree::MARK_VARIABLE, mark.as_str())
            .stdin(if self.stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => ProcessError::NotFound {
                    program: name.to_owned(),
                },
                _ => ProcessError::NotStarted {
                    program: name.to_owned(),
                    source,
                },
            })?;
        let tree = Tree::new(child.id(), mark);
        Ok((child, tree))
    }

    /// The command to start: the program, or its supervisor.
    fn command(&self, name: &str) -> Result<tokio::process::Command, ProcessError> {
        #[cfg(target_os = "linux")]
        if let Some(command) = supervisor::command(&self.program, &self.args) {
            // Where a supervisor cannot start the program, only its exit code would tell.
            return self.can_start(name).map(|()| command);
        }
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.args);
        Ok(command)
    }

    /// Whether there is a program of that name that may be executed.
    #[cfg(target_os = "linux")]
    fn can_start(&self, name: &str) -> Result<(), ProcessError> {
        use rustix::fs::{Access, access};
        let at = |path: PathBuf| {
            self.cwd
                .as_deref()
                .map_or(path.clone(), |folder| folder.join(path))
        };
        let places: Vec<PathBuf> = match self.program.as_encoded_bytes().contains(&b'/') {
            true => vec![at(PathBuf::from(&self.program))],
            false => {
                let path = self.path().unwrap_or_else(|| "/bin:/usr/bin".into());
                std::env::split_paths(&path)
                    .map(|folder| at(folder.join(&self.program)))
                    .collect()
            }
        };
        let mut found = places.iter().filter(|place| place.exists()).peekable();
        if found.peek().is_none() {
            return Err(ProcessError::NotFound {
                program: name.to_owned(),
            });
        }
        match found.any(|place| place.is_file() && access(place.as_path(), Access::EXEC_OK).is_ok())
        {
            true => Ok(()),
            false => {
                let source = io::ErrorKind::PermissionDenied.into();
                Err(ProcessError::NotStarted {
                    program: name.to_owned(),
                    source,
                })
            }
        }
    }

    /// Where the program will be looked for.
    #[cfg(target_os = "linux")]
    fn path(&self) -> Option<OsString> {
        let own = self
            .env
            .iter()
            .rev()
            .find(|(name, _)| name == "PATH")
            .map(|(_, value)| value.clone());
        own.unwrap_or_else(|| std::env::var_os("PATH").filter(|_| self.env_inherited))
    }
}

#[cfg(target_os = "linux")]
fn is_supervised() -> bool {
    supervisor::is_on()
}

#[cfg(not(target_os = "linux"))]
fn is_supervised() -> bool {
    false
}

/// Waits for the program, then a little for what is left in its pipes.
async fn end<T>(child: &mut Child, talk: impl Future<Output = T>) -> io::Result<ExitStatus> {
    let mut talk = std::pin::pin!(talk);
    tokio::select! {
        status = child.wait() => {
            let _ = tokio::time::timeout(DRAIN, talk).await;
            return status;
        }
        _ = &mut talk => {}
    }
    child.wait().await
}

/// Writes all of `input`. A program that does not want to read it is no error.
async fn feed(stdin: Option<ChildStdin>, input: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(&input).await;
    }
}

/// Reads to the end of the pipe, whatever fits the limit or not, so that the
/// program never waits for us.
async fn drain(
    pipe: Option<impl AsyncRead + Unpin>,
    output: &mut Output,
    progress: &Notify,
    listener: Option<&Listener>,
) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        output.push(&chunk[..read]);
        listener.inspect(|listener| listener(&chunk[..read]));
        progress.notify_one();
    }
}

/// Waits for the first reason to stop the program.
async fn stop(limits: Limits, progress: &Notify, cancel: &CancellationToken) -> Stop {
    let stalled = async {
        let Some(idle) = limits.idle_timeout else {
            return std::future::pending().await;
        };
        while tokio::time::timeout(idle, progress.notified())
            .await
            .is_ok()
        {}
        Stop::Stalled(idle)
    };
    let timeout = async {
        let Some(timeout) = limits.timeout else {
            return std::future::pending().await;
        };
        tokio::time::sleep(timeout).await;
        Stop::Timeout(timeout)
    };
    tokio::select! {
        () = cancel.cancelled() => Stop::Cancelled,
        stop = timeout => stop,
        stop = stalled => stop,
    }
}

/// How a program ended by itself.
#[derive(Debug)]
pub struct Exit {
    /// Its exit code, or the signal that killed it.
    pub status: Status,
    /// What it wrote to its standard output.
    pub stdout: Output,
    /// What it wrote to its standard error.
    pub stderr: Output,
}

/// What a program left as its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It returned this.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl Status {
    /// Whether it returned zero.
    pub fn is_ok(self) -> bool {
        self == Self::Code(0)
    }

    /// What it returned, if it did.
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(_) => None,
        }
    }
}

impl From<ExitStatus> for Status {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            // A process ends in one of the two ways; zero is no signal.
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// Why a program has no [`Exit`].
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such program.
    #[error("program `{program}` was not found")]
    NotFound {
        /// As it was asked for.
        program: String,
    },
    /// The folder to run it in does not exist.
    #[error("program `{program}` cannot run in `{}`: no such folder", folder.display())]
    NoFolder {
        /// As it was asked for.
        program: String,
        /// The folder.
        folder: PathBuf,
    },
    /// The system refused to start it.
    #[error("program `{program}` could not be started")]
    NotStarted {
        /// As it was asked for.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It was started, and the system does not tell how it ended.
    #[error("program `{program}` was lost")]
    Lost {
        /// As it was asked for.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// We stopped it.
    #[error("program `{program}` was stopped: {why}")]
    Stopped {
        /// As it was asked for.
        program: String,
        /// The reason.
        why: Stop,
        /// What it had written until then.
        said: Box<Said>,
    },
}

/// Why we stopped a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// It ran longer than it may.
    #[error("timeout after {0:?}")]
    Timeout(Duration),
    /// It showed no output for longer than it may.
    #[error("no output for {0:?}")]
    Stalled(Duration),
    /// The caller asked for it.
    #[error("cancelled")]
    Cancelled,
}

/// What a program wrote before it was stopped.
#[derive(Debug)]
pub struct Said {
    /// To its standard output.
    pub stdout: Output,
    /// To its standard error.
    pub stderr: Output,
}

#[cfg(test)]
mod tests;
