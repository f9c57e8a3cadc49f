//! When a failed attempt is tried again.

use crate::outcome::Remedy;
use crate::{AttemptId, FailureClass, Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// How often and how soon a task is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Retries after failures that count against the task.
    pub retries_max: u32,
    /// Delay before the first retry; it doubles with each further one.
    pub rest_first: Millis,
    /// Longest delay of divisi's own choice. A vendor may ask for a longer one.
    pub rest_max: Millis,
    /// Attempts that may end for reasons outside the task (rate limits, lost processes) before the
    /// task fails. Reached only if something is wrong that waiting does not cure.
    pub waits_max: u32,
    /// How long a task waits for an overloaded vendor, from the first of the consecutive overloads.
    /// Until then none of them uses up a retry. Most overloads end within minutes.
    pub overload_wait_max: Millis,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries_max: 4,
            rest_first: Millis(500),
            rest_max: Millis(30_000),
            waits_max: 100,
            overload_wait_max: Millis::from_secs(10 * 60),
        }
    }
}

/// How long a vendor's statement alone can block a request, a task or a bucket. It may be wrong,
/// and only a further answer can correct it, so after this time one request is sent as a test. Rate
/// limits are a matter of minutes; longer waits are for quotas, and park the run instead.
pub const BELIEVED_FOR: Millis = Millis::from_secs(3_600);

/// Delays of a process that waits for quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaWait {
    /// Delay before the first try if the reset is unknown; it doubles with each failed try.
    pub rest_first: Millis,
    /// Longest delay of divisi's own choice. Quotas are reset hourly, daily or monthly, so a delay
    /// of a quarter of an hour is acceptable, and so are four requests an hour.
    pub rest_max: Millis,
}

impl Default for QuotaWait {
    fn default() -> Self {
        Self {
            rest_first: Millis::from_secs(60),
            rest_max: Millis::from_secs(15 * 60),
        }
    }
}

impl QuotaWait {
    /// When to try again. `reset` is the vendor's moment of the reset, `tries` the number of failed
    /// tries since the last reply: after a failed try, a delay applies even if the vendor gives an
    /// earlier moment. Always later than `now`, so that no moment is tried twice.
    pub fn until(&self, now: Timestamp, reset: Option<Timestamp>, tries: u32) -> Timestamp {
        let rest = |doublings: u32| {
            now + Millis(
                self.rest_first
                    .0
                    // Bounded, because a large shift would overflow; `rest_max` applies long
                    // before.
                    .saturating_mul(1 << doublings.min(20))
                    .min(self.rest_max.0),
            )
        };
        match (reset, tries) {
            (None, tries) => rest(tries),
            (Some(reset), 0) => reset.max(now + Millis(1)),
            (Some(reset), tries) => reset.max(rest(tries - 1)),
        }
    }
}

/// Failed attempts of a task so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Attempts that count against `retries_max`.
    pub failed: u32,
    /// Attempts that count against `waits_max`. Quota does not count: the run waits for it.
    pub waited: u32,
    /// Overloads in a row, up to the last attempt.
    pub overloads: u32,
    /// End of the first of these.
    pub overloaded_since: Option<Timestamp>,
}

impl Tries {
    /// Resets the overloads, because the vendor has answered.
    pub fn answered(self) -> Self {
        Self {
            overloads: 0,
            overloaded_since: None,
            ..self
        }
    }
}

/// The vendor's advice about trying again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Time it asks to wait.
    pub retry_after: Option<Millis>,
    /// Whether a retry makes sense at all.
    pub should_retry: Option<bool>,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after this delay.
    Retry(Millis),
    /// Stop the run; the task stays waiting.
    Park,
    /// The task has failed.
    GiveUp,
}

impl RetryPolicy {
    /// The counts after one more attempt that ended with this class at `now`.
    pub fn after(&self, before: Tries, class: FailureClass, now: Timestamp) -> Tries {
        if class == FailureClass::Overloaded {
            let since = before.overloaded_since.unwrap_or(now);
            let counts = now.since(since) >= self.overload_wait_max;
            return Tries {
                failed: before.failed + u32::from(counts),
                overloads: before.overloads + 1,
                overloaded_since: Some(since),
                ..before
            };
        }
        let before = before.answered();
        match class.remedy() {
            Remedy::Retry | Remedy::GiveUp => Tries {
                failed: before.failed + 1,
                ..before
            },
            Remedy::Wait | Remedy::Repeat => Tries {
                waited: before.waited + 1,
                ..before
            },
            Remedy::Park => before,
        }
    }

    /// Decides what follows when `attempt` ended with `class` at `now`.
    ///
    /// `before` counts the earlier attempts. The delay is never shorter than the vendor's
    /// retry-after, of which up to an hour counts. The vendor's statement on whether to retry
    /// overrides the class, except for failures that need the user. Delays are shortened by up to a
    /// quarter, so that siblings that failed together do not return together; the jitter is derived
    /// from the attempt's id, so that a replay agrees.
    pub fn verdict(
        &self,
        attempt: AttemptId,
        class: FailureClass,
        before: Tries,
        told: Told,
        now: Timestamp,
    ) -> Verdict {
        let tries = self.after(before, class, now);
        let rest = |doublings: u32| {
            let rest = self
                .rest_first
                .0
                // Bounded, because a large shift would overflow; `rest_max` applies long before.
                .saturating_mul(1 << doublings.min(20))
                .min(self.rest_max.0);
            let spread = u128::from(rest / 4) * u128::from(jitter(attempt)) / u128::from(u16::MAX);
            let wish = told.retry_after.unwrap_or_default().min(BELIEVED_FOR);
            Millis(rest - spread as u64).max(wish)
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
            // Cannot underflow: one of the two counts includes this attempt.
            Remedy::Retry => Verdict::Retry(rest(tries.failed.max(tries.overloads) - 1)),
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

    const NOW: Timestamp = Timestamp(1_000);

    fn attempt(number: u32) -> AttemptId {
        AttemptId {
            task: TaskId(7),
            number,
        }
    }

    #[test]
    fn rests_double_up_to_the_longest() {
        let policy = RetryPolicy {
            retries_max: 9,
            ..RetryPolicy::default()
        };
        let rests: Vec<u64> = (0..9)
            .map(|failed| {
                let tries = Tries {
                    failed,
                    ..Tries::default()
                };
                let class = FailureClass::Server;
                match policy.verdict(attempt(failed + 1), class, tries, Told::default(), NOW) {
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
            Told {
                retry_after: Some(Millis(60_000)),
                should_retry: None,
            },
            NOW,
        );
        assert_eq!(verdict, Verdict::Retry(Millis(60_000)));
    }

    #[test]
    fn no_wish_holds_a_task_for_longer_than_an_hour() {
        let verdict = RetryPolicy::default().verdict(
            attempt(1),
            FailureClass::RateLimited,
            Tries::default(),
            Told {
                retry_after: Some(Millis(u64::MAX)),
                should_retry: None,
            },
            NOW,
        );
        assert_eq!(verdict, Verdict::Retry(BELIEVED_FOR));
    }

    #[test]
    fn waiting_uses_up_no_retry() {
        let policy = RetryPolicy::default();
        let tries = (0..50).fold(Tries::default(), |tries, _| {
            policy.after(tries, FailureClass::RateLimited, NOW)
        });
        let server = |number, tries| {
            policy.verdict(
                attempt(number),
                FailureClass::Server,
                tries,
                Told::default(),
                NOW,
            )
        };
        assert!(matches!(server(51, tries), Verdict::Retry(_)));
        assert_eq!(
            server(
                9,
                Tries {
                    failed: policy.retries_max,
                    ..Tries::default()
                }
            ),
            Verdict::GiveUp
        );
    }

    #[test]
    fn overloads_are_waited_out_for_as_long_as_is_allowed() {
        let policy = RetryPolicy {
            overload_wait_max: Millis(100_000),
            ..RetryPolicy::default()
        };
        let (mut tries, mut now, mut rests) = (Tries::default(), Timestamp(5_000), vec![]);
        for number in 1.. {
            match policy.verdict(
                attempt(number),
                FailureClass::Overloaded,
                tries,
                Told::default(),
                now,
            ) {
                Verdict::Retry(rest) => {
                    tries = policy.after(tries, FailureClass::Overloaded, now);
                    rests.push((rest.0.div_ceil(1_000), tries.failed));
                    now = now + rest;
                }
                verdict => {
                    assert_eq!(verdict, Verdict::GiveUp);
                    break;
                }
            }
        }
        let waited_out = rests.iter().filter(|(_, failed)| *failed == 0).count();
        assert_eq!(
            &rests[..5],
            [(1, 0), (1, 0), (2, 0), (4, 0), (7, 0)],
            "{rests:?}"
        );
        assert_eq!(rests.len() - waited_out, 4, "{rests:?}");
        assert!(
            rests[waited_out..].iter().all(|(rest, _)| *rest > 20),
            "{rests:?}"
        );
        assert_eq!(tries.waited, 0);

        let again = policy.after(tries.answered(), FailureClass::Overloaded, now);
        assert_eq!(
            (again.overloads, again.failed),
            (1, tries.failed),
            "a reply begins the count anew"
        );
        let other = policy.after(tries, FailureClass::RateLimited, now);
        assert_eq!((other.overloads, other.overloaded_since), (0, None));
    }

    #[test]
    fn the_vendors_word_on_trying_again_wins() {
        let verdict = |class, should_retry| {
            let told = Told {
                retry_after: None,
                should_retry: Some(should_retry),
            };
            RetryPolicy::default().verdict(attempt(1), class, Tries::default(), told, NOW)
        };
        for class in [
            FailureClass::RateLimited,
            FailureClass::Overloaded,
            FailureClass::Server,
        ] {
            assert_eq!(verdict(class, false), Verdict::GiveUp);
        }
        assert!(matches!(
            verdict(FailureClass::BadRequest, true),
            Verdict::Retry(_)
        ));
        assert_eq!(verdict(FailureClass::Quota, true), Verdict::Park);
        assert_eq!(
            verdict(FailureClass::Lost, false),
            Verdict::Retry(Millis(0))
        );
    }

    #[test]
    fn quota_is_waited_for_until_it_is_there_or_with_growing_rests() {
        let wait = QuotaWait {
            rest_first: Millis(10),
            rest_max: Millis(50),
        };
        let until =
            |reset: Option<u64>, tries| wait.until(Timestamp(1_000), reset.map(Timestamp), tries).0;
        assert_eq!(
            [0, 1, 2, 3, 40].map(|tries| until(None, tries)),
            [1_010, 1_020, 1_040, 1_050, 1_050]
        );
        assert_eq!(until(Some(1_500), 0), 1_500);
        assert_eq!(until(Some(900), 0), 1_001, "a reset that is past");
        assert_eq!(
            [1, 2].map(|tries| until(Some(1_001), tries)),
            [1_010, 1_020],
            "it was wrong before"
        );
    }

    #[test]
    fn what_cannot_succeed_is_not_tried_again() {
        let verdict = |class| {
            RetryPolicy::default().verdict(
                attempt(1),
                class,
                Tries::default(),
                Told::default(),
                NOW,
            )
        };
        assert_eq!(verdict(FailureClass::Auth), Verdict::GiveUp);
        assert_eq!(verdict(FailureClass::Quota), Verdict::Park);
    }
}
