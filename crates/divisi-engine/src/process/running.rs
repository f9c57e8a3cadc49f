//! A program that runs on beside its caller, who talks to it through its pipes.

use super::{Output, ProcessError, Program, Tree, is_supervised};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

/// Bytes kept of its standard error, of which only the last line is ever shown.
const COMPLAINT_BYTES_MAX: usize = 8 * 1024;

/// Bytes per read of its standard error.
const CHUNK_BYTES: usize = 4 * 1024;

/// A started program. Dropping it kills the program and everything that it started.
pub(crate) struct Running {
    // Dropped before the child, as long as its descendants can be found below it.
    tree: Tree,
    child: Child,
    said: Arc<Mutex<Output>>,
}

/// Its standard input and output.
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
}

impl Program {
    /// Whether there is such a program, as far as that is known before it starts.
    pub(crate) fn check(&self) -> Result<(), ProcessError> {
        #[cfg(target_os = "linux")]
        self.can_start(&self.program.to_string_lossy())?;
        Ok(())
    }

    /// Starts it without waiting for its end. Limits of time do not apply.
    pub(crate) fn start(self) -> Result<(Running, Pipes), ProcessError> {
        let name = self.program.to_string_lossy().into_owned();
        let (mut child, tree) = self.stdin(Vec::new()).spawn(&name)?;
        let said = Arc::new(Mutex::new(Output::new(COMPLAINT_BYTES_MAX)));
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(listen(stderr, said.clone()));
        }
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            let source = std::io::Error::other("it has no pipes");
            return Err(ProcessError::Lost {
                program: name,
                source,
            });
        };
        let running = Running { tree, child, said };
        Ok((running, Pipes { stdin, stdout }))
    }
}

impl Running {
    /// The last line of its standard error so far, without secrets.
    pub(crate) fn complaint(&self) -> Option<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = said.text();
        text.trim().lines().last().map(str::to_owned)
    }

    /// Ends it, and everything that it started: once its standard input is closed it has
    /// `patience` to end by itself, then again as long after SIGTERM.
    pub(crate) async fn end(mut self, patience: Duration) {
        let mut ended = tokio::time::timeout(patience, self.child.wait()).await;
        if ended.is_err() {
            self.tree.terminate();
            ended = tokio::time::timeout(patience, self.child.wait()).await;
        }
        match ended {
            // A supervisor that exited by itself has killed everything below it.
            Ok(Ok(status)) if status.code().is_some() && is_supervised() => self.tree.is_over(),
            Ok(_) | Err(_) => self.tree.kill().await,
        }
    }
}

/// Reads to the end, so that the program never blocks on a full pipe.
async fn listen(mut stderr: ChildStderr, said: Arc<Mutex<Output>>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(read @ 1..) = stderr.read(&mut chunk).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push(&chunk[..read]);
    }
}
