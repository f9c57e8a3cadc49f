//! Room for the reply of a request while money is short.
//!
//! Most of the bound of a request is its longest possible reply, and replies are rarely that long.
//! If every request reserved its whole bound, a cap near the cost of a run would allow only a few
//! requests at once, and a fan-out would become a queue. So a request gets all the room it wants
//! only if the budget holds as much for everything that could be in flight beside it. Otherwise it
//! gets the room that was enough for nearly all replies of its siblings. A reply that is cut off
//! there is requested again with several times the room, and counts as a long one from then on.
//!
//! The reservation is what the granted room may cost, so the budget holds at every event, whatever
//! the replies are.

use super::{Grant, TurnBound};
use crate::PicoUsd;

/// The fraction 1/8 of the longest reply is assumed to be enough while no reply is known.
const UNKNOWN_ONE_IN: u32 = 8;

/// The room for a reply is at least 1/128 of the longest one.
const LEAST_ONE_IN: u32 = 128;

/// The least room in tokens: OpenAI's Responses API refuses less than 16.
const LEAST: u32 = 16;

/// Factor by which the room grows after a reply was cut off.
const WIDEN_BY: u32 = 4;

impl TurnBound {
    /// The request after its reply was cut off at this room.
    pub fn widened(self, room: u32) -> Self {
        let more = room.saturating_mul(WIDEN_BY).max(room.saturating_add(1));
        let least = self.reply_tokens_min.max(more);
        Self {
            reply_tokens_min: least.min(self.reply_tokens_max),
            ..self
        }
    }

    /// The request with the least room that was decided after `before` was cut off, if it was.
    pub(crate) fn as_wide_as(self, before: Option<TurnBound>) -> Self {
        let least = before.map_or(0, |before| before.reply_tokens_min);
        Self {
            reply_tokens_min: self.reply_tokens_min.max(least.min(self.reply_tokens_max)),
            ..self
        }
    }

    /// The request with room for a usual reply; `enough` is the room that suffices for its
    /// siblings.
    ///
    /// For short siblings that may be less than the minimum for a reply of unknown length, unless
    /// this very reply is known to be longer.
    pub fn usual(&self, enough: Option<u32>, is_known_longer: bool) -> Grant {
        self.with_room(match enough {
            Some(enough) if !is_known_longer && !self.is_whole() => enough.max(self.least_room()),
            enough => {
                let enough = enough.unwrap_or(self.reply_tokens_max / UNKNOWN_ONE_IN);
                enough.max(self.reply_tokens_min)
            }
        })
    }

    /// Whether only a reply with all the room is of use.
    fn is_whole(&self) -> bool {
        self.reply_tokens_min == self.reply_tokens_max
    }

    /// The least room that its reply ever gets.
    pub fn least_room(&self) -> u32 {
        match self.is_whole() {
            true => self.reply_tokens_max,
            false => self
                .reply_tokens_max
                .div_ceil(LEAST_ONE_IN)
                .max(LEAST)
                .min(self.reply_tokens_min),
        }
    }
}

/// The money available to requests, as seen by one of them.
#[derive(Clone, Copy, Debug)]
pub struct Headroom {
    /// Neither spent nor reserved.
    pub left: PicoUsd,
    /// Not spent, reserved or not.
    pub unspent: PicoUsd,
    /// Number of requests that could be in flight with enough money; at least 1.
    pub at_once: usize,
}

impl Headroom {
    /// Grants all that is wanted if the request's share of the money holds that. Otherwise it
    /// grants half of the share, to leave something for later requests, but at least room for a
    /// usual reply; `None` if less than that is left. A request that is alone gets its whole share.
    pub fn grant(
        &self,
        bound: TurnBound,
        wanted: Grant,
        usual: impl FnOnce() -> Grant,
    ) -> Option<Grant> {
        let share = PicoUsd(self.unspent.0 / self.at_once.max(1) as u64);
        if wanted.reserved <= self.left.min(share) {
            return Some(wanted);
        }
        let usual = usual();
        if usual.reserved >= wanted.reserved {
            return (wanted.reserved <= self.left).then_some(wanted);
        }
        let part = match self.at_once {
            0 | 1 => share,
            _ => PicoUsd(share.0 / 2),
        };
        let roomy = bound
            .fit(part.min(self.left).min(wanted.reserved))
            .filter(|roomy| roomy.reserved > usual.reserved);
        roomy.or_else(|| (usual.reserved <= self.left).then_some(usual))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_was_cut_off_gets_more_until_it_gets_all() {
        let mut bound = TurnBound::new(PicoUsd(10), PicoUsd(1), 16_384);
        let rooms: Vec<u32> = std::iter::from_fn(|| {
            let room = bound.usual(Some(100), true).reply_tokens?;
            bound = bound.widened(room);
            Some(room)
        })
        .collect();
        assert_eq!(rooms, [1_024, 4_096]);
        assert_eq!(
            bound,
            TurnBound::new(PicoUsd(10), PicoUsd(1), 16_384).whole()
        );
    }

    #[test]
    fn short_replies_need_less_than_is_assumed_of_unknown_ones() {
        let bound = TurnBound::new(PicoUsd(10), PicoUsd(1), 16_384);
        let room = |enough| bound.usual(enough, false).reply_tokens;
        assert_eq!(room(None), Some(2_048));
        assert_eq!(room(Some(150)), Some(150));
        assert_eq!(room(Some(3)), Some(128));
        assert_eq!(room(Some(20_000)), None);
        let small = TurnBound {
            reply_tokens_max: 1_200,
            ..bound
        };
        assert_eq!(small.usual(Some(1), false).reply_tokens, Some(16));
        assert_eq!(bound.whole().usual(Some(150), false).reply_tokens, None);
    }

    #[test]
    fn all_is_granted_only_where_the_others_could_have_as_much() {
        let bound = TurnBound::new(PicoUsd(0), PicoUsd(1), 16_000);
        let grant = |left, at_once| {
            let headroom = Headroom {
                left: PicoUsd(left),
                unspent: PicoUsd(left),
                at_once,
            };
            let wanted = bound.fit(PicoUsd::MAX)?;
            headroom
                .grant(bound, wanted, || bound.usual(None, false))
                .map(|grant| grant.reserved.0)
        };
        assert_eq!(grant(160_000, 10), Some(16_000));
        assert_eq!(grant(159_999, 10), Some(7_999), "half of its share");
        assert_eq!(grant(30_000, 10), Some(2_000), "a usual reply");
        assert_eq!(grant(1_999, 10), None);
        assert_eq!(grant(15_000, 1), Some(15_000), "nothing else needs it");
    }
}
