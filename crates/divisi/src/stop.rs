//! The ways in which a person or the system asks the process to stop.
//!
//! Once, a run parks: it goes on to the end of what is under way. Twice, it ends at
//! once, and the process within [`END_MAX`], whatever it is doing: a store may be
//! locked, an output stuck, a name unresolved. Where no run is under way, once is
//! enough. Signals are heard on a thread of their own, so that nothing on any other
//! thread delays them.

use crate::exit::Exit;
use crate::output;
use divisi_engine::process;
use std::future::pending;
use std::io;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Longest time from the second request to the end of the process: what can be
/// written down in order is, and a person does not have to ask a third time.
const END_MAX: Duration = Duration::from_millis(1_500);

/// How long after a hang-up what is under way may take: nobody is left to ask a
/// second time.
const HANGUP_PATIENCE: Duration = Duration::from_secs(10);

/// How often the process has been asked to stop.
static REQUESTS: LazyLock<watch::Sender<u32>> = LazyLock::new(|| watch::Sender::new(0));

/// Runs that are under way.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// From now on no signal ends the process by itself.
pub(crate) fn listen() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let signals = Signals::catch(&runtime)?;
    std::thread::Builder::new()
        .name("divisi-signals".into())
        .spawn(move || runtime.block_on(signals.heed()))
        .map(drop)
}

/// Whether the process has been asked to stop.
pub(crate) fn is_asked() -> bool {
    *REQUESTS.borrow() > 0
}

/// Hears requests to stop on behalf of a run. As long as this is there, the first
/// one ends nothing by itself.
pub(crate) struct StopRequests(watch::Receiver<u32>);

impl StopRequests {
    pub(crate) fn of_run() -> Self {
        RUNS.fetch_add(1, Ordering::SeqCst);
        Self(REQUESTS.subscribe())
    }

    /// Waits for the next one; returns how many there have been.
    pub(crate) async fn next(&mut self) -> u32 {
        match self.0.changed().await {
            Ok(()) => *self.0.borrow_and_update(),
            // The other end is there as long as the process.
            Err(_) => pending().await,
        }
    }
}

/// Hears the wish to suspend the process, as Ctrl-Z sends it, on behalf of somebody who
/// has something to put away first. As long as this is there, nothing else suspends it.
pub(crate) struct SuspendRequests(Option<Signal>);

impl SuspendRequests {
    /// Those of a live display; without one the system suspends the process by itself.
    pub(crate) fn of_display(is_live: bool) -> Self {
        let number = rustix::process::Signal::TSTP.as_raw();
        let hear = || signal(SignalKind::from_raw(number)).ok();
        let is_heard = is_live && !is_ignored(SignalKind::from_raw(number));
        Self(is_heard.then(hear).flatten())
    }

    /// Waits for the next one, which is answered with [`suspend`].
    pub(crate) async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => _ = signal.recv().await,
            None => pending().await,
        }
    }
}

/// Suspends the process until somebody lets it go on.
pub(crate) fn suspend() {
    // What cannot be suspended goes on, which loses nothing.
    let own = rustix::process::getpid();
    let _ = rustix::process::kill_process(own, rustix::process::Signal::STOP);
}

impl Drop for StopRequests {
    fn drop(&mut self) {
        RUNS.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None where `nohup` has said that it does not matter.
    hangup: Option<Signal>,
    quit: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// To stop, by the signal of this number.
    Stop(i32),
    /// The same; nothing more will be said.
    HangUp,
    /// To end at once.
    Quit,
}

impl Signals {
    fn catch(runtime: &Runtime) -> io::Result<Self> {
        let _in_runtime = runtime.enter();
        let hangup = match is_ignored(SignalKind::hangup()) {
            true => None,
            false => Some(signal(SignalKind::hangup())?),
        };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
            quit: signal(SignalKind::quit())?,
        })
    }

    async fn heed(mut self) {
        let mut ends_at = None;
        let mut patience_ends_at = None;
        loop {
            let asked = tokio::select! {
                asked = self.next() => asked,
                () = at(ends_at) => end(Exit::Cancelled.code().into(), "not everything could be written down in time"),
                () = at(patience_ends_at.take()) => Asked::Stop(SignalKind::hangup().as_raw_value()),
            };
            match asked {
                Asked::Quit => end(128 + SignalKind::quit().as_raw_value(), "by SIGQUIT"),
                Asked::Stop(number) if RUNS.load(Ordering::SeqCst) == 0 => end(128 + number, ""),
                Asked::HangUp if RUNS.load(Ordering::SeqCst) == 0 => {
                    end(128 + SignalKind::hangup().as_raw_value(), "")
                }
                Asked::HangUp => patience_ends_at = Some(Instant::now() + HANGUP_PATIENCE),
                Asked::Stop(_) => {}
            }
            REQUESTS.send_modify(|requests| *requests += 1);
            match *REQUESTS.borrow() {
                1 => {}
                2 => ends_at = Some(Instant::now() + END_MAX),
                _ => end(Exit::Cancelled.code().into(), "at once"),
            }
        }
    }

    async fn next(&mut self) -> Asked {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop(SignalKind::interrupt().as_raw_value()),
            _ = self.terminate.recv() => Asked::Stop(SignalKind::terminate().as_raw_value()),
            _ = self.quit.recv() => Asked::Quit,
            _ = hangup => Asked::HangUp,
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// Ends the process here, and no program of it is left.
fn end(code: i32, why: &str) -> ! {
    if !why.is_empty() {
        output::say(&format!("stopped: {why}; a run that was under way is kept, and listed as interrupted"));
        output::finish_talk();
    }
    process::end_all();
    std::process::exit(code)
}

/// Whether the process was started with this signal ignored.
#[cfg(target_os = "linux")]
fn is_ignored(signal: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, signal.as_raw_value())
}

/// Where the system does not tell, a process without a terminal is taken for one
/// that is to outlive it.
#[cfg(not(target_os = "linux"))]
fn is_ignored(_: SignalKind) -> bool {
    use std::io::IsTerminal;
    !io::stderr().is_terminal() && !io::stdin().is_terminal() && !io::stdout().is_terminal()
}

#[cfg(target_os = "linux")]
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_ignores_stands_in_its_status() {
        let status = "Name:\tdivisi\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, 1));
        assert!(!ignores(status, 2));
        assert!(ignores(status, 13));
        assert!(!ignores("", 1));
    }
}
