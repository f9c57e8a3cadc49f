//! Tracks the prompt prefixes in a vendor's cache, and which request writes a shared one.
//!
//! A prefix can be read once the first reply to a prompt with it has begun. Requests sent together
//! before that would all write it, at more than the full price. So the first one leads, its
//! siblings wait until its reply begins, and then read at a small part of the price.
//!
//! A request waits only for one that is under way or next at the gate, and a waiting request never
//! leads, so no waits form a cycle. However the lead ends (reply, failure, drop), the waiting
//! requests continue: they read, or the next one leads. Their attempt bounds the wait
//! ([`crate::attempt::hold_max`]).

use crate::{Digest, Millis, Timestamp};
use std::collections::BTreeMap;

/// How long vendors keep an unread prefix: five minutes at Anthropic; OpenAI promises more.
const LIFE: Millis = Millis::from_secs(5 * 60);

/// Most prefixes kept; beyond it the one unused for longest is removed. A fan-out has two, so this
/// is more fan-outs than run within five minutes.
const PREFIXES_MAX: usize = 1_024;

/// The known prefixes in the cache of one provider.
#[derive(Clone, Debug, Default)]
pub struct PrefixCache {
    known: BTreeMap<Digest, State>,
    leads: u64,
    /// Ended leads that have not been reported by [`Self::take_over`].
    over: Vec<Lead>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A request is to write it, and may be under way.
    Warming {
        since: Timestamp,
        lead: Lead,
        has_left: bool,
    },
    /// It can be read; `used_at` is when its last request was sent.
    Warm { used_at: Timestamp },
}

/// Identifies a request as the possible writer of prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lead(u64);

/// The request that another one has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its lead. When that ends, the waiting requests ask again.
    pub lead: Lead,
    /// Whether it has been sent.
    pub has_left: bool,
}

impl PrefixCache {
    /// Allows a request with the prefixes `wanted`, which then leads for those that no other
    /// request writes. If another one does and the request is `patient`, returns that leader.
    pub fn ask(
        &mut self,
        wanted: &[Digest],
        now: Timestamp,
        patient: bool,
    ) -> Result<Lead, Leader> {
        let warming = wanted
            .iter()
            .find_map(|prefix| match self.known.get(prefix) {
                Some(State::Warming { lead, has_left, .. }) => Some(Leader {
                    lead: *lead,
                    has_left: *has_left,
                }),
                Some(State::Warm { .. }) | None => None,
            });
        if let (Some(leader), true) = (warming, patient) {
            return Err(leader);
        }
        self.leads += 1;
        let lead = Lead(self.leads);
        for prefix in wanted {
            let is_cold = match self.known.get(prefix) {
                Some(State::Warming { .. }) => false,
                Some(State::Warm { used_at }) => now.since(*used_at) >= LIFE,
                None => true,
            };
            if is_cold {
                self.set(
                    *prefix,
                    State::Warming {
                        since: now,
                        lead,
                        has_left: false,
                    },
                );
            }
        }
        Ok(lead)
    }

    /// A request is sent.
    pub fn leaves(&mut self, wanted: &[Digest], lead: Lead) {
        for prefix in wanted {
            if let Some(State::Warming {
                lead: of, has_left, ..
            }) = self.known.get_mut(prefix)
                && *of == lead
            {
                *has_left = true;
            }
        }
    }

    /// The reply to a request sent at `left_at` has begun.
    pub fn begun(&mut self, wanted: &[Digest], lead: Lead, left_at: Timestamp) {
        for prefix in wanted {
            // The vendor's time starts at an unknown moment, but not before this one.
            let used_at = match self.known.get(prefix) {
                Some(State::Warm { used_at }) => left_at.max(*used_at),
                Some(State::Warming { .. }) | None => left_at,
            };
            self.set(*prefix, State::Warm { used_at });
        }
        self.over.push(lead);
    }

    /// A request has ended before its reply began.
    pub fn failed(&mut self, wanted: &[Digest], lead: Lead) {
        for prefix in wanted {
            if matches!(self.known.get(prefix), Some(State::Warming { lead: of, .. }) if *of == lead)
            {
                self.known.remove(prefix);
            }
        }
        self.over.push(lead);
    }

    /// Returns the leads that have ended since the last call: requests that wait for them ask
    /// again.
    pub fn take_over(&mut self) -> Vec<Lead> {
        std::mem::take(&mut self.over)
    }

    fn set(&mut self, prefix: Digest, state: State) {
        if let Some(State::Warming { lead, .. }) = self.known.insert(prefix, state) {
            self.over.push(lead);
        }
        if self.known.len() > PREFIXES_MAX {
            // Requests that wait for it are still notified when its lead ends.
            let oldest = self
                .known
                .iter()
                .min_by_key(|(_, state)| state.at())
                .map(|(prefix, _)| *prefix);
            oldest.map(|prefix| self.known.remove(&prefix));
        }
    }
}

impl State {
    fn at(&self) -> Timestamp {
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
        prefixes: PrefixCache,
        over: Vec<Lead>,
    }

    impl Desk {
        fn new() -> Self {
            Self {
                prefixes: PrefixCache::default(),
                over: vec![],
            }
        }

        fn at(&self, second: u64) -> Timestamp {
            Timestamp(0) + Millis::from_secs(second)
        }

        fn is_over(&mut self, leader: Leader) -> bool {
            self.over.extend(self.prefixes.take_over());
            self.over.contains(&leader.lead)
        }

        fn ask(&mut self, names: &[&str], second: u64) -> Result<Lead, Leader> {
            let now = self.at(second);
            self.prefixes.ask(
                &names.iter().map(|name| prefix(name)).collect::<Vec<_>>(),
                now,
                true,
            )
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
        assert!(!desk.is_over(leader));
        assert!(
            desk.ask(&["b"], 0).is_ok(),
            "another prefix waits for nobody"
        );
        desk.begun("a", lead, 0);
        assert!(desk.is_over(leader));
        let [first, second] = [desk.ask(&["a"], 2), desk.ask(&["a"], 2)];
        assert!(first.is_ok() && second.is_ok());
    }

    #[test]
    fn one_that_fails_lets_exactly_one_other_lead() {
        let mut desk = Desk::new();
        let lead = desk.ask(&["a"], 0).unwrap();
        let leader = desk.ask(&["a"], 0).unwrap_err();
        desk.prefixes.failed(&[prefix("a")], lead);
        assert!(desk.is_over(leader));
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
        assert!(
            desk.ask(&["a"], 599).is_ok(),
            "it is cold, and this one leads"
        );
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
        assert!(
            desk.ask(&["context"], 0).is_ok(),
            "the one that waits has not claimed it"
        );
        desk.begun("tools", short, 0);
        assert!(desk.is_over(leader));
    }

    #[test]
    fn the_impatient_leave_and_warm_it_for_all() {
        let mut desk = Desk::new();
        let _slow = desk.ask(&["a"], 0).unwrap();
        let leader = desk.ask(&["a"], 30).unwrap_err();
        let impatient = desk
            .prefixes
            .ask(&[prefix("a")], desk.at(60), false)
            .unwrap();
        assert!(desk.ask(&["a"], 60).is_err(), "the first one still leads");
        desk.begun("a", impatient, 60);
        assert!(desk.is_over(leader));
        assert!(desk.ask(&["a"], 61).is_ok());
    }

    #[test]
    fn the_oldest_prefix_is_forgotten() {
        let mut desk = Desk::new();
        for n in 0..=PREFIXES_MAX as u64 {
            let name = n.to_string();
            let lead = desk.ask(&[&name], 0).unwrap();
            let left_at = Timestamp(n);
            desk.prefixes.begun(&[prefix(&name)], lead, left_at);
        }
        assert_eq!(desk.prefixes.known.len(), PREFIXES_MAX);
        assert!(!desk.prefixes.known.contains_key(&prefix("0")));
        assert!(desk.prefixes.known.contains_key(&prefix("1")));
    }
}
