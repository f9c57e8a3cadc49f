//! Requests to stop the process, by the user or the system.
//!
//! The first request parks a run: attempts under way go on to their end. The second ends it at
//! once, and the process within [`END_MAX`], whatever blocks it: a locked store, a stuck output, an
//! unresolved name. If no run is under way, the first request ends the process. A source that
//! cannot ask twice, such as a supervisor or a closed terminal, counts as asking again after some
//! time. Signals are received on their own thread, so that no other thread delays them.

use crate::display::screen;
use crate::exit::Exit;
use crate::keys;
use crate::output;
use divisi_engine::process;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Longest time from the second request to the end of the process: long enough to record an orderly
/// end, and short enough that the user need not ask a third time.
const END_MAX: Duration = Duration::from_millis(1_500);

/// How long attempts under way may take after a hang-up: without a terminal there is no second
/// request.
const HANGUP_PATIENCE: Duration = Duration::from_secs(10);

/// The same after SIGTERM. Supervisors ask once and kill later: Kubernetes after 30 seconds,
/// systemd after 90. Docker kills after 10 unless configured otherwise; that loses nothing either,
/// since every recorded event is durable at once.
const TERM_PATIENCE: Duration = Duration::from_secs(25);

/// All requests to stop so far.
static REQUESTS: LazyLock<watch::Sender<Requests>> = LazyLock::new(watch::Sender::default);

/// The number of requests to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) count: u32,
    /// How long attempts under way may take after the first request; `None` if the user decides.
    pub(crate) patience: Option<Duration>,
}

/// Number of runs under way.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// What is said when a request to stop ends the process at a question.
static AT_QUESTION: Mutex<Option<&'static str>> = Mutex::new(None);

/// While this exists, the user is asked a question before a run starts.
pub(crate) struct Question(());

impl Question {
    /// `refused` is said if the process is stopped instead of an answer.
    pub(crate) fn ask(refused: &'static str) -> Self {
        *at_question() = Some(refused);
        Self(())
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        *at_question() = None;
    }
}

fn at_question() -> MutexGuard<'static, Option<&'static str>> {
    AT_QUESTION.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on signals no longer end the process by default.
pub(crate) fn listen() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let signals = Signals::catch(&runtime)?;
    std::thread::Builder::new()
        .name("divisi-signals".into())
        .spawn(move || runtime.block_on(signals.heed()))
        .map(drop)
}

/// Whether a stop was requested.
pub(crate) fn is_asked() -> bool {
    REQUESTS.borrow().count > 0
}

/// Receives requests to stop for a run. While it exists, the first request does not end the
/// process.
pub(crate) struct StopRequests(watch::Receiver<Requests>);

impl StopRequests {
    pub(crate) fn of_run() -> Self {
        RUNS.fetch_add(1, Ordering::SeqCst);
        Self(REQUESTS.subscribe())
    }

    /// Waits for the next request; returns all so far.
    pub(crate) async fn next(&mut self) -> Requests {
        match self.0.changed().await {
            Ok(()) => *self.0.borrow_and_update(),
            // Cannot happen: the sender lives as long as the process.
            Err(_) => pending().await,
        }
    }
}

/// Receives Ctrl-Z for a display that must restore the screen first. While it exists, the signal
/// itself no longer suspends the process.
pub(crate) struct SuspendRequests(Option<Signal>);

impl SuspendRequests {
    /// For a live display; without one the system suspends the process as usual.
    pub(crate) fn of_display(is_live: bool) -> Self {
        let number = rustix::process::Signal::TSTP.as_raw();
        let hear = || signal(SignalKind::from_raw(number)).ok();
        let is_heard = is_live && !is_ignored(SignalKind::from_raw(number));
        Self(is_heard.then(hear).flatten())
    }

    /// Waits for the next request, which is answered with [`suspend`].
    pub(crate) async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => _ = signal.recv().await,
            None => pending().await,
        }
    }
}

/// Suspends the process until it is continued.
pub(crate) fn suspend() {
    keys::paused(|| to_itself(rustix::process::Signal::STOP));
}

/// Requests a stop as Ctrl-C does.
pub(crate) fn request() {
    to_itself(rustix::process::Signal::INT);
}

fn to_itself(signal: rustix::process::Signal) {
    // If this fails, the process simply goes on.
    let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
}

impl Drop for StopRequests {
    fn drop(&mut self) {
        RUNS.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if `nohup` has made the process ignore it.
    hangup: Option<Signal>,
    quit: Signal,
}

/// The meaning of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Stop, by the signal with this number; count as asked twice after this time.
    Stop(i32, Option<Duration>),
    /// End at once.
    Quit,
}

/// What to do after a signal.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Inform the run.
    Tell,
    /// End the process with this code and message.
    End(i32, &'static str),
}

/// Requests so far, and the deadlines that follow from them.
#[derive(Debug, Default)]
struct Heard {
    requests: Requests,
    /// When the process ends in any case.
    ends_at: Option<Instant>,
    /// When the first request counts as repeated, and the signal it came by.
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

/// Ends the process here, together with all its programs.
fn end(code: i32, why: &str) -> ! {
    keys::pause();
    screen::abandon();
    if !why.is_empty() {
        output::say(&format!(
            "stopped: {why}; a run that was under way is kept, and listed as interrupted"
        ));
        output::finish_talk();
    } else if let Some(refused) = *at_question() {
        // The terminal's `^C` stands behind the question.
        output::say(&format!("\n{refused}"));
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

/// On systems that do not report it, a process without any terminal is taken for one that ignores
/// the signal.
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
