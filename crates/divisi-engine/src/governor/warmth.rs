//! Which prompts begin with something the vendor has cached, and which must
//! wait until it has.
//!
//! A prefix can be read by others once the first reply to a prompt that begins
//! with it has begun. Requests that leave together before that all write it, at
//! more than the full price. So the first one leads, its siblings wait until its
//! reply begins, and then read at a small part of the price.
//!
//! What this promises: a request waits only for one that has left, and a request
//! that waits leads nothing, so nobody waits in a circle. Whatever becomes of the
//! one that leads (reply, failure, drop), those that wait go on: they read, or
//! the next one leads. Nobody waits longer than [`HOLD_MAX`].
//!
//! A request that is held keeps its place in the run and its reservation: the
//! order to start it has been written down. So a process that dies meanwhile
//! counts it as sent.

use divisi_core::Digest;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long vendors keep a prefix that nobody reads. Anthropic's five minutes;
/// OpenAI promises more.
const LIFE: Duration = Duration::from_secs(5 * 60);

/// Longest time one request waits for others. A reply to a prompt of a million
/// tokens begins within half of it.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// How often a request that waits says so, so that nobody takes it for stuck.
const SIGN_EVERY: Duration = Duration::from_secs(1);

/// Most prefixes that are remembered; the one unused for longest is forgotten.
/// A fan-out has two, so these are more fan-outs than run within five minutes.
const PREFIXES_MAX: usize = 1_024;

/// Watches over the prefixes of one provider.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    prefixes: Mutex<Prefixes>,
}

impl Warmth {
    /// Returns when a request with these prefixes may leave.
    pub(super) async fn admit(self: &Arc<Self>, wanted: Vec<Digest>, held: impl Fn() + Send) -> Admission {
        let give_up_at = Instant::now() + HOLD_MAX;
        let mut was_held = false;
        loop {
            let now = Instant::now();
            let asked = match wanted.is_empty() {
                true => Ok(Lead::default()),
                false => self.lock().ask(&wanted, now, now < give_up_at),
            };
            match asked {
                Ok(lead) => {
                    let lead = Mutex::new(Some(lead));
                    return Admission { warmth: self.clone(), wanted, lead, left_at: now, was_held };
                }
                Err(over) => {
                    was_held = true;
                    held();
                    // Whatever it was that came first, the prefixes tell what follows.
                    let _ = timeout_at(give_up_at.min(now + SIGN_EVERY), over.cancelled()).await;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Prefixes> {
        // No change can panic halfway.
        self.prefixes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right of one request to be under way. Dropped before its reply has
/// begun, it lets the next one lead.
#[derive(Debug)]
pub(crate) struct Admission {
    warmth: Arc<Warmth>,
    wanted: Vec<Digest>,
    /// Taken when the reply begins.
    lead: Mutex<Option<Lead>>,
    left_at: Instant,
    /// Whether it had to wait.
    pub(crate) was_held: bool,
}

impl Admission {
    /// Says that the reply has begun: what the prompt begins with can be read.
    pub(crate) fn begun(&self) {
        if let Some(lead) = self.take() {
            self.warmth.lock().begun(&self.wanted, lead, self.left_at);
        }
    }

    fn take(&self) -> Option<Lead> {
        let mut lead = self.lead.lock().unwrap_or_else(PoisonError::into_inner);
        if self.wanted.is_empty() { None } else { lead.take() }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(lead) = self.take() {
            self.warmth.lock().failed(&self.wanted, lead);
        }
    }
}

/// What is known of prefixes. It knows no clock and waits for nothing.
#[derive(Debug, Default)]
struct Prefixes {
    known: BTreeMap<Digest, State>,
    leads: u64,
}

#[derive(Debug)]
enum State {
    /// One request is on its way to write it.
    Warming { since: Instant, lead: Lead },
    /// It can be read; last used by a request that left then.
    Warm { used_at: Instant },
}

/// One request's part in writing prefixes.
#[derive(Clone, Debug, Default)]
struct Lead {
    number: u64,
    /// Fires when those who wait for it should look again.
    over: CancellationToken,
}

impl Prefixes {
    /// Lets a request with the prefixes `wanted` leave, leading where nobody
    /// does; or says whom it waits for, if it is `patient`.
    fn ask(&mut self, wanted: &[Digest], now: Instant, patient: bool) -> Result<Lead, CancellationToken> {
        let warming = wanted.iter().find_map(|prefix| match self.known.get(prefix) {
            Some(State::Warming { lead, .. }) => Some(lead.over.clone()),
            Some(State::Warm { .. }) | None => None,
        });
        if let (Some(over), true) = (warming, patient) {
            return Err(over);
        }
        self.leads += 1;
        let lead = Lead { number: self.leads, over: CancellationToken::new() };
        for prefix in wanted {
            let is_cold = match self.known.get(prefix) {
                Some(State::Warming { .. }) => false,
                Some(State::Warm { used_at }) => now.saturating_duration_since(*used_at) >= LIFE,
                None => true,
            };
            if is_cold {
                self.set(*prefix, State::Warming { since: now, lead: lead.clone() });
            }
        }
        Ok(lead)
    }

    /// The reply to a request that left at `left_at` has begun.
    fn begun(&mut self, wanted: &[Digest], lead: Lead, left_at: Instant) {
        for prefix in wanted {
            // Nobody knows when the vendor begins to count, but not before this.
            let used_at = match self.known.get(prefix) {
                Some(State::Warm { used_at }) => left_at.max(*used_at),
                Some(State::Warming { .. }) | None => left_at,
            };
            self.set(*prefix, State::Warm { used_at });
        }
        lead.over.cancel();
    }

    /// A request has ended before its reply began.
    fn failed(&mut self, wanted: &[Digest], lead: Lead) {
        for prefix in wanted {
            if matches!(self.known.get(prefix), Some(State::Warming { lead: of, .. }) if of.number == lead.number)
            {
                self.known.remove(prefix);
            }
        }
        lead.over.cancel();
    }

    fn set(&mut self, prefix: Digest, state: State) {
        if let Some(State::Warming { lead, .. }) = self.known.insert(prefix, state) {
            lead.over.cancel();
        }
        if self.known.len() > PREFIXES_MAX {
            // Those who wait for it still hear from the one that leads.
            let oldest = self.known.iter().min_by_key(|(_, state)| state.at()).map(|(prefix, _)| *prefix);
            oldest.map(|prefix| self.known.remove(&prefix));
        }
    }
}

impl State {
    fn at(&self) -> Instant {
        match self {
            Self::Warming { since, .. } => *since,
            Self::Warm { used_at } => *used_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn prefix(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// Prefixes, and requests that ask for them at a given second.
    struct Desk {
        prefixes: Prefixes,
        start: Instant,
    }

    impl Desk {
        fn new() -> Self {
            Self { prefixes: Prefixes::default(), start: Instant::now() }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        fn ask(&mut self, names: &[&str], second: u64) -> Result<Lead, CancellationToken> {
            let now = self.at(second);
            self.prefixes.ask(&names.iter().map(|name| prefix(name)).collect::<Vec<_>>(), now, true)
        }

        fn begun(&mut self, name: &str, lead: Lead, left: u64) {
            let left_at = self.at(left);
            self.prefixes.begun(&[prefix(name)], lead, left_at);
        }
    }

    #[test]
    fn siblings_wait_until_the_first_reply_begins() {
        let mut desk = Desk::new();
        let lead = desk.ask(&["a"], 0).unwrap();
        let over = desk.ask(&["a"], 0).unwrap_err();
        assert!(!over.is_cancelled());
        assert!(desk.ask(&["b"], 0).is_ok(), "another prefix waits for nobody");
        desk.begun("a", lead, 0);
        assert!(over.is_cancelled());
        let [first, second] = [desk.ask(&["a"], 2), desk.ask(&["a"], 2)];
        assert!(first.is_ok() && second.is_ok());
    }

    #[test]
    fn one_that_fails_lets_exactly_one_other_lead() {
        let mut desk = Desk::new();
        let lead = desk.ask(&["a"], 0).unwrap();
        let over = desk.ask(&["a"], 0).unwrap_err();
        desk.prefixes.failed(&[prefix("a")], lead);
        assert!(over.is_cancelled());
        assert!(desk.ask(&["a"], 1).is_ok());
        assert!(desk.ask(&["a"], 1).is_err());
    }

    #[test]
    fn an_entry_expires_five_minutes_after_its_last_use() {
        let mut desk = Desk::new();
        let lead = desk.ask(&["a"], 0).unwrap();
        desk.begun("a", lead, 0);
        let used = desk.ask(&["a"], 299).unwrap();
        assert!(desk.ask(&["a"], 299).is_ok());
        desk.begun("a", used, 299);
        assert!(desk.ask(&["a"], 598).is_ok());
        assert!(desk.ask(&["a"], 599).is_ok(), "it is cold, and this one leads");
        assert!(desk.ask(&["a"], 599).is_err());
    }

    #[test]
    fn a_late_reply_does_not_make_an_entry_older() {
        let mut desk = Desk::new();
        let lead = desk.ask(&["a"], 0).unwrap();
        desk.begun("a", lead, 0);
        let [early, late] = [1, 200].map(|second| desk.ask(&["a"], second).unwrap());
        desk.begun("a", late, 200);
        desk.begun("a", early, 1);
        assert!(desk.ask(&["a"], 499).is_ok());
        assert!(desk.ask(&["a"], 499).is_ok(), "still warm");
    }

    #[test]
    fn whoever_waits_leads_nothing() {
        let mut desk = Desk::new();
        let short = desk.ask(&["tools"], 0).unwrap();
        let over = desk.ask(&["tools", "context"], 0).unwrap_err();
        assert!(desk.ask(&["context"], 0).is_ok(), "the one that waits has not claimed it");
        desk.begun("tools", short, 0);
        assert!(over.is_cancelled());
    }

    #[test]
    fn the_impatient_leave_and_warm_it_for_all() {
        let mut desk = Desk::new();
        let _slow = desk.ask(&["a"], 0).unwrap();
        let over = desk.ask(&["a"], 30).unwrap_err();
        let impatient = desk.prefixes.ask(&[prefix("a")], desk.at(60), false).unwrap();
        assert!(desk.ask(&["a"], 60).is_err(), "the first one still leads");
        desk.begun("a", impatient, 60);
        assert!(over.is_cancelled());
        assert!(desk.ask(&["a"], 61).is_ok());
    }

    #[test]
    fn the_oldest_prefix_is_forgotten() {
        let mut desk = Desk::new();
        for n in 0..=PREFIXES_MAX as u64 {
            let name = n.to_string();
            let lead = desk.ask(&[&name], 0).unwrap();
            let left_at = desk.start + Duration::from_millis(n);
            desk.prefixes.begun(&[prefix(&name)], lead, left_at);
        }
        assert_eq!(desk.prefixes.known.len(), PREFIXES_MAX);
        assert!(!desk.prefixes.known.contains_key(&prefix("0")));
        assert!(desk.prefixes.known.contains_key(&prefix("1")));
    }

    /// A request that waits, and counts its signs of life.
    async fn waiting(warmth: &Arc<Warmth>, signs: &AtomicU64) -> Admission {
        warmth
            .admit(vec![prefix("a")], || {
                signs.fetch_add(1, Ordering::Relaxed);
            })
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_limit_and_gives_signs_meanwhile() {
        let (warmth, signs, start) = (Arc::default(), AtomicU64::new(0), Instant::now());
        let _hangs = waiting(&warmth, &signs).await;
        let admission = waiting(&warmth, &signs).await;
        assert!(admission.was_held);
        assert_eq!(start.elapsed().as_secs(), HOLD_MAX.as_secs());
        assert_eq!(signs.into_inner(), HOLD_MAX.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_leader_and_a_dropped_waiter_hold_up_nobody() {
        let (warmth, signs, start) = (Arc::default(), AtomicU64::new(0), Instant::now());
        let leader = waiting(&warmth, &signs).await;
        let answered = async || {
            let admission = waiting(&warmth, &signs).await;
            admission.begun();
            admission.was_held
        };
        let mut gives_up = Box::pin(waiting(&warmth, &signs));
        assert!(futures::poll!(&mut gives_up).is_pending());
        drop(gives_up);
        let held = tokio::join!(answered(), answered(), async { drop(leader) });
        assert_eq!(held, (true, true, ()));
        assert!(!waiting(&warmth, &signs).await.was_held, "it stays warm when those who used it are gone");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn who_shares_nothing_waits_for_nothing() {
        let warmth: Arc<Warmth> = Arc::default();
        let admission = warmth.admit(vec![], || panic!("held")).await;
        admission.begun();
        assert!(warmth.lock().known.is_empty());
    }
}
