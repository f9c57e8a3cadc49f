//! The ways in which a person or the system asks the process to stop.
//!
//! Once, a run parks: it goes on to the end of what is under way. Twice, it ends at
//! once, and the process within [`END_MAX`], whatever it is doing: a store may be
//! locked, an output stuck, a name unresolved. Where no run is under way, once is
//! enough. Whoever is not there to ask twice, a supervisor or a closed terminal, is
//! taken to do so after some time. Signals are heard on a thread of their own, so that
//! nothing on any other thread delays them.

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

/// How long after SIGTERM it may take. Supervisors ask once and kill later: Kubernetes
/// after 30 seconds, systemd after 90. Docker does after 10, unless it is told
/// otherwise; that loses nothing either, since what is durable is so at any moment.
const TERM_PATIENCE: Duration = Duration::from_secs(25);

/// What the process has been asked.
static REQUESTS: LazyLock<watch::Sender<Requests>> = LazyLock::new(watch::Sender::default);

/// How often the process has been asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) count: u32,
    /// How long after the first one what is under way may take; `None` where a person
    /// decides that.
    pub(crate) patience: Option<Duration>,
}

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
    REQUESTS.borrow().count > 0
}

/// Hears requests to stop on behalf of a run. As long as this is there, the first
/// one ends nothing by itself.
pub(crate) struct StopRequests(watch::Receiver<Requests>);

impl StopRequests {
    pub(crate) fn of_run() -> Self {
        RUNS.fetch_add(1, Ordering::SeqCst);
        Self(REQUESTS.subscribe())
    }

    /// Waits for the next one; returns all there have been.
    pub(crate) async fn next(&mut self) -> Requests {
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
    /// To stop, by the signal of this number; in this time, if nothing more is said.
    Stop(i32, Option<Duration>),
    /// To end at once.
    Quit,
}

/// What follows from what was asked.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The run hears of it.
    Tell,
    /// The process ends with this code, and says this.
    End(i32, &'static str),
}

/// What has been asked, and until when there is time.
#[derive(Debug, Default)]
struct Heard {
    requests: Requests,
    /// When the process ends.
    ends_at: Option<Instant>,
    /// When nobody else will have asked a second time, and by which signal the first was.
    patience_ends: Option<(Instant, i32)>,
}

impl Heard {
    fn hear(&mut self, asked: Asked, now: Instant, has_run: bool) -> Next {
        let (number, patience) = match asked {
            Asked::Quit => return Next::End(128 + SignalKind::quit().as_raw_value(), "by SIGQUIT"),
            Asked::Stop(number, _) if !has_run => return Next::End(128 + number, ""),
            Asked::Stop(number, patience) => (number, patience),
        };
        self.requests.count += 1;
        self.patience_ends = None;
        match self.requests.count {
            1 => {
                self.requests.patience = patience;
                self.patience_ends = patience.map(|patience| (now + patience, number));
            }
            2 => self.ends_at = Some(now + END_MAX),
            _ => return Next::End(Exit::Cancelled.code().into(), "at once"),
        }
        Next::Tell
    }
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
        let mut heard = Heard::default();
        loop {
            let (patience_ends, number) = heard.patience_ends.unzip();
            let asked = tokio::select! {
                asked = self.next() => asked,
                () = at(heard.ends_at) => end(Exit::Cancelled.code().into(), "not everything could be written down in time"),
                () = at(patience_ends) => Asked::Stop(number.unwrap_or_default(), None),
            };
            match heard.hear(asked, Instant::now(), RUNS.load(Ordering::SeqCst) > 0) {
                Next::End(code, why) => end(code, why),
                Next::Tell => _ = REQUESTS.send_replace(heard.requests),
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
        let stop = |kind: SignalKind, patience| Asked::Stop(kind.as_raw_value(), patience);
        tokio::select! {
            _ = self.interrupt.recv() => stop(SignalKind::interrupt(), None),
            _ = self.terminate.recv() => stop(SignalKind::terminate(), Some(TERM_PATIENCE)),
            _ = self.quit.recv() => Asked::Quit,
            _ = hangup => stop(SignalKind::hangup(), Some(HANGUP_PATIENCE)),
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
        output::say(&format!(
            "stopped: {why}; a run that was under way is kept, and listed as interrupted"
        ));
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
    fn whoever_asks_once_is_taken_to_ask_again_after_a_while() {
        let now = Instant::now();
        for (patience, waits) in [
            (None, None),
            (Some(TERM_PATIENCE), Some((now + TERM_PATIENCE, 15))),
        ] {
            let mut heard = Heard::default();
            assert_eq!(heard.hear(Asked::Stop(15, patience), now, true), Next::Tell);
            assert_eq!(heard.requests, Requests { count: 1, patience });
            assert_eq!((heard.ends_at, heard.patience_ends), (None, waits));
            assert_eq!(heard.hear(Asked::Stop(15, None), now, true), Next::Tell);
            assert_eq!((heard.requests.count, heard.patience_ends), (2, None));
            assert_eq!(heard.ends_at, Some(now + END_MAX));
            assert_eq!(
                heard.hear(Asked::Stop(2, patience), now, true),
                Next::End(130, "at once")
            );
        }
        assert_eq!(
            Heard::default().hear(Asked::Stop(15, None), now, false),
            Next::End(143, "")
        );
        assert_eq!(
            Heard::default().hear(Asked::Quit, now, true),
            Next::End(131, "by SIGQUIT")
        );
    }

    #[test]
    fn what_a_process_ignores_stands_in_its_status() {
        let status = "Name:\tdivisi\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, 1));
        assert!(!ignores(status, 2));
        assert!(ignores(status, 13));
        assert!(!ignores("", 1));
    }
}
