//! Time and memory of a process.

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The time and output of a process, from its start to its end.
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    /// What it wrote to stdout.
    pub(crate) stdout: Vec<u8>,
    /// Its error output, if it failed.
    complaint: Option<String>,
}

impl Spent {
    /// The same; an error if it failed.
    pub(crate) fn well(self) -> Result<Self> {
        match &self.complaint {
            None => Ok(self),
            Some(complaint) => bail!("a process failed: {complaint}"),
        }
    }
}

/// Runs a command to its end. Meanwhile no other process may be waited for, since their times would
/// be added.
pub(crate) fn spend(command: &mut Command) -> Result<Spent> {
    let before = cpu_of_children()?;
    let start = Instant::now();
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let wall = start.elapsed();
    let cpu = cpu_of_children()? - before;
    let complaint = (!output.status.success()).then(|| {
        format!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )
    });
    Ok(Spent {
        wall,
        cpu,
        stdout: output.stdout,
        complaint,
    })
}

/// User and system time of all child processes that were waited for.
fn cpu_of_children() -> Result<Duration> {
    let usage: Usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let span = |time: TimeVal| {
        Duration::from_secs(time.tv_sec().unsigned_abs())
            + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    Ok(span(usage.user_time()) + span(usage.system_time()))
}

/// A process in the background. Dropping it kills it.
pub(crate) struct Running(Child);

impl Running {
    /// Starts a command without output.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(
            command
                .spawn()
                .with_context(|| format!("cannot start {command:?}"))?,
        ))
    }

    /// Kills it as `kill -9` does, and returns when it is gone.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Waits for its end; fails unless it succeeded.
    pub(crate) fn finish(mut self) -> Result<()> {
        let status = self.0.wait()?;
        if !status.success() {
            bail!("the process ended with {status}");
        }
        Ok(())
    }

    /// Whether it is still running.
    pub(crate) fn is_alive(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    /// Its peak memory, in bytes.
    pub(crate) fn memory_max(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    /// Waits until its memory is constant for a second; returns the peak.
    pub(crate) fn memory_settled(&mut self) -> Result<u64> {
        const STILL: Duration = Duration::from_secs(1);
        const LONGEST: Duration = Duration::from_secs(60);
        let (start, mut last, mut since) = (Instant::now(), 0, Instant::now());
        while since.elapsed() < STILL {
            if !self.is_alive()? {
                bail!("the process ended by itself");
            }
            if start.elapsed() > LONGEST {
                bail!("the memory of the process does not settle");
            }
            std::thread::sleep(Duration::from_millis(20));
            let now = self.memory("VmRSS:")?;
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        self.memory_max()
    }

    fn memory(&self, name: &str) -> Result<u64> {
        const KIB: u64 = 1024;
        let path = format!("/proc/{}/status", self.0.id());
        let status =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        Ok(kib.with_context(|| format!("{path} has no {name}"))? * KIB)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; a failure needs no report.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
