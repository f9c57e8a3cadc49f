//! The quota, after which money has run out.

use crate::config::{Quota, QuotaAnswer};
use crate::fault::ErrorKind;
use std::time::{Duration, Instant};

/// The state of the quota.
pub(crate) enum Wall {
    /// There is no quota, or it was opened for good.
    Open,
    /// `left` more requests are accepted.
    Ahead { left: u64, quota: Quota },
    /// No request is accepted.
    Closed {
        answer: QuotaAnswer,
        opens_at: Option<Instant>,
        told: bool,
    },
}

impl Wall {
    pub(crate) fn new(quota: Option<Quota>) -> Self {
        quota.map_or(Self::Open, |quota| Self::Ahead {
            left: quota.after,
            quota,
        })
    }

    pub(crate) fn closed() -> Self {
        Self::Closed {
            answer: QuotaAnswer::default(),
            opens_at: None,
            told: false,
        }
    }

    /// Counts one accepted request, or returns why none is accepted and, if clients are told, for
    /// how long.
    pub(crate) fn pass(&mut self, now: Instant) -> Result<(), (ErrorKind, Option<Duration>)> {
        if let Self::Ahead { left: 0, quota } = self {
            let opens_at = quota
                .closed_ms
                .map(|closed_ms| now + Duration::from_millis(closed_ms));
            *self = Self::Closed {
                answer: quota.answer,
                opens_at,
                told: quota.told,
            };
        }
        match self {
            Self::Open => Ok(()),
            Self::Ahead { left, .. } => {
                *left -= 1;
                Ok(())
            }
            Self::Closed {
                opens_at: Some(at), ..
            } if *at <= now => {
                *self = Self::Open;
                Ok(())
            }
            Self::Closed {
                answer,
                opens_at,
                told,
            } => {
                let kind = match answer {
                    QuotaAnswer::Billing => ErrorKind::Billing,
                    QuotaAnswer::SpendLimit => ErrorKind::SpendLimit,
                };
                let left = opens_at.filter(|_| *told).map(|at| at.duration_since(now));
                Err((kind, left))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_stands_after_the_last_accepted_request_and_opens_with_time() {
        let quota = Quota {
            after: 1,
            answer: QuotaAnswer::SpendLimit,
            closed_ms: Some(100),
            told: true,
        };
        let (mut wall, start) = (Wall::new(Some(quota)), Instant::now());
        let pass = |wall: &mut Wall, ms| wall.pass(start + Duration::from_millis(ms));
        assert_eq!(pass(&mut wall, 0), Ok(()));
        let refused = |left| Err((ErrorKind::SpendLimit, Some(Duration::from_millis(left))));
        assert_eq!(pass(&mut wall, 10), refused(100));
        assert_eq!(pass(&mut wall, 109), refused(1));
        assert_eq!(pass(&mut wall, 110), Ok(()));
        assert_eq!(pass(&mut wall, 111), Ok(()));
    }
}
