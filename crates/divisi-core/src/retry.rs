//! When a failed attempt is tried again.

use crate::outcome::Remedy;
use crate::{AttemptId, FailureClass, Millis};
use serde::{Deserialize, Serialize};

/// How often and how soon a task is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Retries after failures that count.
    pub retries_max: u32,
    /// Rest before the first retry; it doubles with each further one.
    pub rest_first: Millis,
    /// Longest rest of our own choosing. A vendor may ask for a longer one.
    pub rest_max: Millis,
    /// Attempts that ended for reasons outside the task (rate limits, lost
    /// processes) before it is given up all the same. Reached only if
    /// something is wrong that waiting does not mend.
    pub waits_max: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries_max: 4, rest_first: Millis(500), rest_max: Millis(30_000), waits_max: 100 }
    }
}

/// How many attempts of a task have ended badly so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Those that count against `retries_max`.
    pub failed: u32,
    /// Those that count against `waits_max`.
    pub waited: u32,
}

impl Tries {
    /// The tries after one more that ended with this class.
    pub fn after(self, class: FailureClass) -> Self {
        match class.remedy() {
            Remedy::Retry | Remedy::GiveUp => Self { failed: self.failed + 1, ..self },
            Remedy::Wait | Remedy::Repeat | Remedy::Park => Self { waited: self.waited + 1, ..self },
        }
    }
}

/// What a vendor says about trying again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// How long it wants us to wait.
    pub retry_after: Option<Millis>,
    /// Whether it makes sense at all.
    pub should_retry: Option<bool>,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after this rest.
    Retry(Millis),
    /// Stop the run; the task stays waiting.
    Park,
    /// The task has failed.
    GiveUp,
}

impl RetryPolicy {
    /// Decides what follows when `attempt` ended with `class`.
    ///
    /// `before` counts the tries that ended earlier. The rest is never shorter
    /// than the vendor's own wish, and its word on whether to try again wins
    /// over the class; only what the user must see to first stays parked. Rests are spread by up to a
    /// quarter so that siblings that failed together do not return together;
    /// the spread comes from the attempt's name, so that a replay agrees.
    pub fn verdict(&self, attempt: AttemptId, class: FailureClass, before: Tries, told: Told) -> Verdict {
        let tries = before.after(class);
        let rest = |doublings: u32| {
            let rest = self.rest_first.0.saturating_mul(1 << doublings.min(20)).min(self.rest_max.0);
            let spread = u128::from(rest / 4) * u128::from(jitter(attempt)) / u128::from(u16::MAX);
            Millis((rest - spread as u64).max(told.retry_after.map_or(0, |wish| wish.0)))
        };
        let remedy = match (class.remedy(), told.should_retry) {
            (Remedy::Retry | Remedy::Wait, Some(false)) => Remedy::GiveUp,
            (Remedy::GiveUp, Some(true)) => Remedy::Retry,
            (remedy, _) => remedy,
        };
        match remedy {
            Remedy::GiveUp => Verdict::GiveUp,
            Remedy::Park => Verdict::Park,
            Remedy::Retry if tries.failed > self.retries_max => Verdict::GiveUp,
            Remedy::Retry => Verdict::Retry(rest(tries.failed - 1)),
            Remedy::Wait | Remedy::Repeat if tries.waited > self.waits_max => Verdict::GiveUp,
            Remedy::Wait => Verdict::Retry(rest(tries.waited - 1)),
            Remedy::Repeat => Verdict::Retry(Millis(0)),
        }
    }
}

fn jitter(attempt: AttemptId) -> u16 {
    let mut name = [0; 8];
    name[..4].copy_from_slice(&attempt.task.0.to_le_bytes());
    name[4..].copy_from_slice(&attempt.number.to_le_bytes());
    let hash = blake3::hash(&name);
    u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TaskId;

    fn attempt(number: u32) -> AttemptId {
        AttemptId { task: TaskId(7), number }
    }

    #[test]
    fn rests_double_up_to_the_longest() {
        let policy = RetryPolicy { retries_max: 9, ..RetryPolicy::default() };
        let rests: Vec<u64> = (0..9)
            .map(|failed| {
                let tries = Tries { failed, waited: 0 };
                match policy.verdict(attempt(failed + 1), FailureClass::Server, tries, Told::default()) {
                    Verdict::Retry(rest) => rest.0,
                    verdict => panic!("{verdict:?}"),
                }
            })
            .collect();
        for (i, rest) in rests.iter().enumerate() {
            let full = (500 << i).min(30_000);
            assert!((full * 3 / 4..=full).contains(rest), "{rests:?}");
        }
    }

    #[test]
    fn the_vendors_wish_is_a_floor() {
        let verdict = RetryPolicy::default().verdict(
            attempt(1),
            FailureClass::Overloaded,
            Tries::default(),
            Told { retry_after: Some(Millis(60_000)), should_retry: None },
        );
        assert_eq!(verdict, Verdict::Retry(Millis(60_000)));
    }

    #[test]
    fn waiting_uses_up_no_retry() {
        let policy = RetryPolicy::default();
        let tries = (0..50).fold(Tries::default(), |tries, _| tries.after(FailureClass::RateLimited));
        assert!(matches!(
            policy.verdict(attempt(51), FailureClass::Server, tries, Told::default()),
            Verdict::Retry(_)
        ));
        let tries = Tries { failed: policy.retries_max, waited: 0 };
        assert_eq!(policy.verdict(attempt(9), FailureClass::Server, tries, Told::default()), Verdict::GiveUp);
    }

    #[test]
    fn the_vendors_word_on_trying_again_wins() {
        let verdict = |class, should_retry| {
            let told = Told { retry_after: None, should_retry: Some(should_retry) };
            RetryPolicy::default().verdict(attempt(1), class, Tries::default(), told)
        };
        for class in [FailureClass::RateLimited, FailureClass::Overloaded, FailureClass::Server] {
            assert_eq!(verdict(class, false), Verdict::GiveUp);
        }
        assert!(matches!(verdict(FailureClass::BadRequest, true), Verdict::Retry(_)));
        assert_eq!(verdict(FailureClass::Quota, true), Verdict::Park);
        assert_eq!(verdict(FailureClass::Lost, false), Verdict::Retry(Millis(0)));
    }

    #[test]
    fn what_cannot_succeed_is_not_tried_again() {
        let verdict =
            |class| RetryPolicy::default().verdict(attempt(1), class, Tries::default(), Told::default());
        assert_eq!(verdict(FailureClass::Auth), Verdict::GiveUp);
        assert_eq!(verdict(FailureClass::Quota), Verdict::Park);
    }
}
