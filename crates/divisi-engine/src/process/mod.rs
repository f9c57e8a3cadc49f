//! Runs child programs within limits, and leaves none running.
//!
//! A program gets its input, its environment and its limits before it starts, and gives an [`Exit`]
//! or a [`ProcessError`]. Nothing that it started outlives the call, whether it ended normally,
//! timed out, or the future was dropped, because a thousand agents that each leave a server running
//! would exhaust the machine.
//!
//! Left out on purpose: terminals, and pipelines (use a shell).

mod output;
mod running;
#[cfg(target_os = "linux")]
mod supervisor;
mod tree;
#[cfg(not(target_os = "linux"))]
mod unsupervised;

pub use output::Output;
pub(crate) use running::Running;
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
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tree::Tree;

/// Time for a program to end after SIGTERM. Agent programs save their session in well under a
/// second, and the user may be waiting.
const GRACE: Duration = Duration::from_secs(3);

/// Time to read remaining output after the program has ended. Long enough to empty the pipes, and
/// short enough if a background child keeps them open.
const DRAIN: Duration = Duration::from_millis(500);

/// Bytes per read: one full pipe on Linux.
const CHUNK_BYTES: usize = 64 * 1024;

/// A program to run, with its limits.
pub struct Program {
    program: OsString,
    args: Vec<OsString>,
    cwd: Option<PathBuf>,
    env: Vec<(OsString, Option<OsString>)>,
    env_inherited: bool,
    stdin: Option<Input>,
    on_stdout: Option<Listener>,
    stdout_to: Option<mpsc::Sender<Vec<u8>>>,
    limits: Limits,
}

/// The standard input of a program.
enum Input {
    Whole(Vec<u8>),
    Arriving(mpsc::Receiver<Vec<u8>>),
}

/// Called with a program's output while it runs.
type Listener = Box<dyn Fn(&[u8]) + Send + Sync>;

/// Limits of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time from start to end, if limited.
    pub timeout: Option<Duration>,
    /// Longest time without output on either channel, if limited.
    pub idle_timeout: Option<Duration>,
    /// Bytes kept of each output. The middle of a longer one is left out.
    pub output_bytes_max: usize,
}

impl Limits {
    /// Default number of bytes kept of each output: more than a model should get as a result, and
    /// few enough for a thousand programs at once.
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
    /// A program found in `PATH` or given by its path, without arguments or input.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            cwd: None,
            env: Vec::new(),
            env_inherited: true,
            stdin: None,
            on_stdout: None,
            stdout_to: None,
            limits: Limits::default(),
        }
    }

    /// A command line for the shell.
    pub fn shell(line: impl Into<OsString>) -> Self {
        Self::new("sh").arg("-c").arg(line)
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets the working folder.
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// Removes a variable of divisi's environment.
    pub fn without_env(mut self, name: impl Into<OsString>) -> Self {
        self.env.push((name.into(), None));
        self
    }

    /// Removes variables that contain a secret, such as `ANTHROPIC_API_KEY`, because the output of
    /// a model's commands is recorded.
    pub fn without_secrets(mut self) -> Self {
        self.env.extend(
            redact::known()
                .variables()
                .map(|name| (name.to_owned(), None)),
        );
        self
    }

    /// Starts from an empty environment, with only what [`Program::env`] adds.
    pub fn with_empty_env(mut self) -> Self {
        self.env_inherited = false;
        self
    }

    /// Sets its standard input, which is empty by default.
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(Input::Whole(input.into()));
        self
    }

    /// Sets its standard input to what arrives here. It is closed when all senders are gone.
    pub(crate) fn stdin_from(mut self, input: mpsc::Receiver<Vec<u8>>) -> Self {
        self.stdin = Some(Input::Arriving(input));
        self
    }

    /// Passes all its output to `listener` as it arrives: in chunks, with secrets.
    pub fn on_stdout(mut self, listener: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        self.on_stdout = Some(Box::new(listener));
        self
    }

    /// Sends all its output there as it arrives: in chunks, with secrets. The program waits while
    /// there is no room, and its output goes on to be read if the receiver is gone.
    pub(crate) fn stdout_to(mut self, output: mpsc::Sender<Vec<u8>>) -> Self {
        self.stdout_to = Some(output);
        self
    }

    /// Sets its limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Runs it to its end.
    ///
    /// An exit code other than zero is an [`Exit`], not an error. Dropping the future kills the
    /// program and everything it started.
    pub async fn run(mut self, cancel: &CancellationToken) -> Result<Exit, ProcessError> {
        let name = self.program.to_string_lossy().into_owned();
        let (mut child, mut tree) = self.spawn(&name)?;
        let mut stdout = Output::new(self.limits.output_bytes_max);
        let mut stderr = Output::new(self.limits.output_bytes_max);
        let progress = Notify::new();

        let ended = {
            let talk = {
                let input = feed(child.stdin.take(), self.stdin.take());
                let heard = (self.on_stdout.as_ref(), self.stdout_to.take());
                let out = drain(child.stdout.take(), &mut stdout, &progress, heard);
                let err = drain(child.stderr.take(), &mut stderr, &progress, (None, None));
                async { tokio::join!(input, out, err) }
            };
            let mut end = std::pin::pin!(end(&mut child, talk));
            tokio::select! {
                status = &mut end => Ok(status),
                stop = stop(self.limits, &progress, cancel) => {
                    tree.terminate();
                    // Keeps its last output. The tree kills it if it has not ended.
                    let _ = tokio::time::timeout(GRACE, &mut end).await;
                    Err(stop)
                }
            }
        };
        match &ended {
            // A supervisor that exited by itself has killed everything below it.
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

    /// The command to start: the program itself, or its supervisor.
    fn command(&self, name: &str) -> Result<tokio::process::Command, ProcessError> {
        #[cfg(target_os = "linux")]
        if let Some(command) = supervisor::command(&self.program, &self.args) {
            // Checked here, because a supervisor that cannot start the program gives only an exit
            // code.
            return self.can_start(name).map(|()| command);
        }
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.args);
        Ok(command)
    }

    /// Checks that there is an executable program of that name.
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

    /// The `PATH` in which the program will be searched.
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

/// Waits for the program, then a short time for the rest of its output.
async fn end<T>(child: &mut Child, talk: impl Future<Output = T>) -> io::Result<ExitStatus> {
    let mut talk = std::pin::pin!(talk);
    tokio::select! {
        status = child.wait() => {
            // A surviving child may hold the pipe open for ever, so the wait for its end is
            // bounded.
            let _ = tokio::time::timeout(DRAIN, talk).await;
            return status;
        }
        _ = &mut talk => {}
    }
    child.wait().await
}

/// Writes all of `input`. It is no error if the program does not read it.
async fn feed(stdin: Option<ChildStdin>, input: Option<Input>) {
    match (stdin, input) {
        (Some(mut stdin), Some(Input::Whole(input))) => _ = stdin.write_all(&input).await,
        (Some(mut stdin), Some(Input::Arriving(mut input))) => {
            while let Some(part) = input.recv().await {
                if stdin.write_all(&part).await.is_err() {
                    break;
                }
            }
        }
        (None, _) | (_, None) => {}
    }
}

/// Reads to the end of the pipe even beyond the limit, so that the program never blocks on a full
/// pipe.
async fn drain(
    pipe: Option<impl AsyncRead + Unpin>,
    output: &mut Output,
    progress: &Notify,
    (listener, to): (Option<&Listener>, Option<mpsc::Sender<Vec<u8>>>),
) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        output.push(&chunk[..read]);
        listener.inspect(|listener| listener(&chunk[..read]));
        progress.notify_one();
        if let Some(to) = &to {
            let _ = to.send(chunk[..read].to_vec()).await;
        }
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

/// The end of a program that was not stopped.
#[derive(Debug)]
pub struct Exit {
    /// Its exit code, or the signal that killed it.
    pub status: Status,
    /// Its standard output.
    pub stdout: Output,
    /// Its standard error.
    pub stderr: Output,
}

impl Exit {
    /// The last line of its standard error, in which programs say why they have failed.
    pub fn complaint(&self) -> String {
        let said = self.stderr.text();
        let last = said.trim().lines().last();
        last.unwrap_or("it said nothing on stderr").to_owned()
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Status {
    /// Whether the exit code is zero.
    pub fn is_ok(self) -> bool {
        self == Self::Code(0)
    }

    /// The exit code, if there is one.
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
            // A process ends in one of the two ways; zero is not a signal.
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
        /// Its name as given.
        program: String,
    },
    /// The working folder does not exist.
    #[error("program `{program}` cannot run in `{}`: no such folder", folder.display())]
    NoFolder {
        /// Its name as given.
        program: String,
        /// The folder.
        folder: PathBuf,
    },
    /// The system refused to start it.
    #[error("program `{program}` could not be started")]
    NotStarted {
        /// Its name as given.
        program: String,
        /// The system's error.
        source: io::Error,
    },
    /// It was started, but its end could not be determined.
    #[error("program `{program}` was lost")]
    Lost {
        /// Its name as given.
        program: String,
        /// The system's error.
        source: io::Error,
    },
    /// It was stopped by divisi.
    #[error("program `{program}` was stopped: {why}")]
    Stopped {
        /// Its name as given.
        program: String,
        /// The reason.
        why: Stop,
        /// Its output until then.
        said: Box<Said>,
    },
}

/// Why a program was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// It exceeded its time limit.
    #[error("timeout after {0:?}")]
    Timeout(Duration),
    /// It had no output for too long.
    #[error("no output for {0:?}")]
    Stalled(Duration),
    /// The caller cancelled it.
    #[error("cancelled")]
    Cancelled,
}

/// The output of a program that was stopped.
#[derive(Debug)]
pub struct Said {
    /// Its standard output.
    pub stdout: Output,
    /// Its standard error.
    pub stderr: Output,
}

#[cfg(test)]
mod tests;
