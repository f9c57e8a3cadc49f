//! What is known of the prefixes in a vendor's cache. It knows no clock and waits
//! for nothing.

use divisi_core::Digest;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long vendors keep a prefix that nobody reads. Anthropic's five minutes;
/// OpenAI promises more.
const LIFE: Duration = Duration::from_secs(5 * 60);

/// Most prefixes that are remembered; the one unused for longest is forgotten.
/// A fan-out has two, so these are more fan-outs than run within five minutes.
const PREFIXES_MAX: usize = 1_024;

/// What is known of the prefixes in the cache of one provider.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    known: BTreeMap<Digest, State>,
    leads: u64,
}

#[derive(Debug)]
enum State {
    /// One request is to write it, and perhaps on its way.
    Warming { since: Instant, lead: Lead, has_left: bool },
    /// It can be read; last used by a request that left then.
    Warm { used_at: Instant },
}

/// One request's part in writing prefixes.
#[derive(Clone, Debug, Default)]
pub(super) struct Lead {
    number: u64,
    /// Fires when those who wait for it should look again.
    over: CancellationToken,
}

/// Whom a request waits for.
#[derive(Debug)]
pub(super) struct Leader {
    /// Fires when those who wait should look again.
    pub(super) over: CancellationToken,
    /// Whether its request is under way.
    pub(super) has_left: bool,
}

impl Prefixes {
    /// Lets a request with the prefixes `wanted` leave, leading where nobody
    /// does; or says whom it waits for, if it is `patient`.
    pub(super) fn ask(&mut self, wanted: &[Digest], now: Instant, patient: bool) -> Result<Lead, Leader> {
        let warming = wanted.iter().find_map(|prefix| match self.known.get(prefix) {
            Some(State::Warming { lead, has_left, .. }) => {
                Some(Leader { over: lead.over.clone(), has_left: *has_left })
            }
            Some(State::Warm { .. }) | None => None,
        });
        if let (Some(leader), true) = (warming, patient) {
            return Err(leader);
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
                self.set(*prefix, State::Warming { since: now, lead: lead.clone(), has_left: false });
            }
        }
        Ok(lead)
    }

    /// A request leaves.
    pub(super) fn leaves(&mut self, wanted: &[Digest], lead: &Lead) {
        for prefix in wanted {
            if let Some(State::Warming { lead: of, has_left, .. }) = self.known.get_mut(prefix)
                && of.number == lead.number
            {
                *has_left = true;
            }
        }
    }

    /// The reply to a request that left at `left_at` has begun.
    pub(super) fn begun(&mut self, wanted: &[Digest], lead: Lead, left_at: Instant) {
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
    pub(super) fn failed(&mut self, wanted: &[Digest], lead: Lead) {
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

        fn ask(&mut self, names: &[&str], second: u64) -> Result<Lead, Leader> {
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
        let leader = desk.ask(&["a"], 0).unwrap_err();
        assert!(!leader.over.is_cancelled());
        assert!(desk.ask(&["b"], 0).is_ok(), "another prefix waits for nobody");
        desk.begun("a", lead, 0);
        assert!(leader.over.is_cancelled());
        let [first, second] = [desk.ask(&["a"], 2), desk.ask(&["a"], 2)];
        assert!(first.is_ok() && second.is_ok());
    }

    #[test]
    fn one_that_fails_lets_exactly_one_other_lead() {
        let mut desk = Desk::new();
        let lead = desk.ask(&["a"], 0).unwrap();
        let leader = desk.ask(&["a"], 0).unwrap_err();
        desk.prefixes.failed(&[prefix("a")], lead);
        assert!(leader.over.is_cancelled());
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
        let leader = desk.ask(&["tools", "context"], 0).unwrap_err();
        assert!(desk.ask(&["context"], 0).is_ok(), "the one that waits has not claimed it");
        desk.begun("tools", short, 0);
        assert!(leader.over.is_cancelled());
    }

    #[test]
    fn the_impatient_leave_and_warm_it_for_all() {
        let mut desk = Desk::new();
        let _slow = desk.ask(&["a"], 0).unwrap();
        let leader = desk.ask(&["a"], 30).unwrap_err();
        let impatient = desk.prefixes.ask(&[prefix("a")], desk.at(60), false).unwrap();
        assert!(desk.ask(&["a"], 60).is_err(), "the first one still leads");
        desk.begun("a", impatient, 60);
        assert!(leader.over.is_cancelled());
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
}
