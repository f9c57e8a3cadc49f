//! Lengths of the replies to sibling tasks.

/// A histogram of reply lengths in tokens, with four buckets per octave.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lengths {
    count: u32,
    buckets: [u32; Self::BUCKETS],
    /// Cached result of `work_out`: it is read more often than replies arrive.
    enough: Option<u32>,
}

impl Default for Lengths {
    fn default() -> Self {
        Self {
            count: 0,
            buckets: [0; Self::BUCKETS],
            enough: None,
        }
    }
}

impl Lengths {
    /// Buckets up to a million tokens; longer replies are counted in the last one.
    const BUCKETS: usize = 76;
    const TOKENS_MAX: u32 = (1 << 20) - 1;
    /// One reply in this number may be longer than the room called enough.
    const LONGER_ONE_IN: u32 = 100;

    pub(super) fn add(&mut self, tokens: u32) {
        self.count = self.count.saturating_add(1);
        let bucket = &mut self.buckets[Self::bucket(tokens)];
        *bucket = bucket.saturating_add(1);
        self.enough = self.work_out();
    }

    /// Room that is enough for 99 of 100 replies; `None` without any reply.
    ///
    /// A few replies say little about the longest one, so a margin is added: three times the length
    /// for a single reply, three tenths for a hundred.
    pub(super) fn enough(&self) -> Option<u32> {
        self.enough
    }

    fn work_out(&self) -> Option<u32> {
        let mut longer = self.count / Self::LONGER_ONE_IN;
        let is_enough = |(_, count): &(usize, &u32)| {
            let is_last = **count > longer;
            longer = longer.saturating_sub(**count);
            is_last
        };
        let (bucket, _) = self.buckets.iter().enumerate().rfind(is_enough)?;
        let tokens = Self::longest_of(bucket);
        Some(tokens + 3 * tokens / self.count.isqrt())
    }

    fn bucket(tokens: u32) -> usize {
        let tokens = tokens.min(Self::TOKENS_MAX);
        match tokens.checked_ilog2() {
            Some(octave @ 2..) => {
                (octave as usize - 2) * 4 + 4 + (tokens >> (octave - 2) & 3) as usize
            }
            _ => tokens as usize,
        }
    }

    /// The longest reply that a bucket counts.
    fn longest_of(bucket: usize) -> u32 {
        match bucket.checked_sub(4) {
            None => bucket as u32,
            Some(place) => ((4 + place as u32 % 4 + 1) << (place / 4)) - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_between_its_neighbours() {
        for tokens in (0..5_000).chain([70_000, Lengths::TOKENS_MAX]) {
            let bucket = Lengths::bucket(tokens);
            assert!(tokens <= Lengths::longest_of(bucket), "{tokens}");
            assert!(
                bucket == 0 || tokens > Lengths::longest_of(bucket - 1),
                "{tokens}"
            );
        }
        assert_eq!(Lengths::bucket(u32::MAX), Lengths::BUCKETS - 1);
    }

    #[test]
    fn what_is_enough_is_sure_of_itself_once_there_are_many() {
        let mut lengths = Lengths::default();
        assert_eq!(lengths.enough(), None);
        lengths.add(100);
        assert_eq!(lengths.enough(), Some(4 * 111), "four times the only one");
        (0..99).for_each(|_| lengths.add(100));
        assert_eq!(lengths.enough(), Some(111 + 333 / 10));
        lengths.add(9_000);
        assert_eq!(
            lengths.enough(),
            Some(111 + 333 / 10),
            "one of a hundred may be longer"
        );
        lengths.add(9_000);
        assert!(lengths.enough() > Some(9_000));
    }
}
