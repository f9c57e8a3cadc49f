//! The prompt cache: which prefixes can be read, and from when.
//!
//! A request's reads and writes are planned when it arrives; the plan takes effect when its answer
//! begins. So two requests that arrive together both write, and a third that arrives after the
//! first answer has begun reads.

use crate::ask::{Block, Life, tokens};
use crate::config::CacheTimes;
use crate::stats::Tokens;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How many blocks before a breakpoint are searched for an entry.
const LOOKBACK_BLOCKS_MAX: usize = 20;

/// Above this all entries are dropped; no test of the cache needs more.
const ENTRIES_MAX: usize = 1_000_000;

/// The entries by the digest of model and prefix.
pub(crate) struct Cache {
    times: CacheTimes,
    entries: HashMap<Key, Entry>,
}

type Key = [u8; 16];

struct Entry {
    life: Life,
    ends_at: Instant,
}

/// The reads and writes of one request.
#[derive(Default)]
pub(crate) struct Plan {
    /// The input part of its usage.
    pub(crate) usage: Tokens,
    renewed: Vec<Key>,
    written: Vec<(Key, Life)>,
}

impl Cache {
    pub(crate) fn new(times: CacheTimes) -> Self {
        Self {
            times,
            entries: HashMap::new(),
        }
    }

    /// The reads and writes of a request that arrives at `now`.
    pub(crate) fn plan(&self, model: &str, blocks: &[Block<'_>], now: Instant) -> Plan {
        let prefixes = prefixes(model, blocks, self.tokens_min(blocks));
        let readable = |prefix: &&Prefix| {
            self.entries
                .get(&prefix.key)
                .is_some_and(|entry| entry.ends_at > now)
        };
        let read = prefixes
            .iter()
            .rev()
            .find(readable)
            .map_or(0, |prefix| prefix.tokens);
        let mut plan = Plan::default();
        plan.usage.cache_read = read;
        plan.renewed = prefixes
            .iter()
            .filter(readable)
            .map(|prefix| prefix.key)
            .collect();
        let mut cached = read;
        for prefix in &prefixes {
            let Some(life) = prefix.breakpoint else {
                continue;
            };
            if prefix.tokens > cached {
                plan.usage.add_write(life, prefix.tokens - cached);
                plan.written.push((prefix.key, life));
                cached = prefix.tokens;
            }
        }
        plan.usage.input = crate::ask::prompt_tokens(blocks) - cached;
        plan
    }

    /// Applies a plan, because the answer begins at `now`.
    pub(crate) fn commit(&mut self, plan: &Plan, now: Instant) {
        for key in &plan.renewed {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.ends_at = now + lifetime(&self.times, entry.life);
            }
        }
        if self.entries.len() + plan.written.len() > ENTRIES_MAX {
            self.entries.clear();
        }
        for &(key, life) in &plan.written {
            self.entries.insert(
                key,
                Entry {
                    life,
                    ends_at: now + lifetime(&self.times, life),
                },
            );
        }
    }

    fn tokens_min(&self, blocks: &[Block<'_>]) -> u64 {
        let implicit = blocks
            .iter()
            .any(|block| block.breakpoint == Some(Life::Implicit));
        if implicit {
            self.times.implicit_tokens_min
        } else {
            self.times.tokens_min
        }
    }
}

fn lifetime(times: &CacheTimes, life: Life) -> Duration {
    Duration::from_millis(match life {
        Life::Short => times.short_ms,
        Life::Long => times.long_ms,
        Life::Implicit => times.implicit_ms,
    })
}

/// A beginning of the prompt that may be cached.
struct Prefix {
    key: Key,
    tokens: u64,
    breakpoint: Option<Life>,
}

/// The prefixes that end at a breakpoint or within its lookback, shortest first.
fn prefixes(model: &str, blocks: &[Block<'_>], tokens_min: u64) -> Vec<Prefix> {
    let Some(last) = blocks.iter().rposition(|block| block.breakpoint.is_some()) else {
        return Vec::new();
    };
    let chars: Vec<usize> = blocks[..=last]
        .iter()
        .map(|block| block.text.chars().count())
        .collect();
    if tokens(chars.iter().sum()) < tokens_min {
        return Vec::new();
    }
    let mut hasher = blake3::Hasher::new();
    hash_text(&mut hasher, model);
    let mut found = Vec::new();
    let mut total = 0;
    for (index, block) in blocks[..=last].iter().enumerate() {
        hash_text(&mut hasher, block.place);
        hash_text(&mut hasher, &block.text);
        total += chars[index];
        let within_lookback = blocks[index..=last]
            .iter()
            .take(LOOKBACK_BLOCKS_MAX)
            .any(|block| block.breakpoint.is_some());
        if within_lookback && tokens(total) >= tokens_min {
            found.push(Prefix {
                key: key(&hasher),
                tokens: tokens(total),
                breakpoint: block.breakpoint,
            });
        }
    }
    found
}

fn hash_text(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&text.len().to_le_bytes());
    hasher.update(text.as_bytes());
}

fn key(hasher: &blake3::Hasher) -> Key {
    let mut key = Key::default();
    hasher.finalize_xof().fill(&mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of 4,000 characters each, so of 1,000 tokens; `!` marks a breakpoint, `*` one of an
    /// hour.
    fn blocks(names: &str) -> Vec<Block<'static>> {
        names.split(' ').map(block).collect()
    }

    fn block(name: &str) -> Block<'static> {
        let breakpoint = match name.chars().last() {
            Some('!') => Some(Life::Short),
            Some('*') => Some(Life::Long),
            _ => None,
        };
        let text = name.trim_end_matches(['!', '*']).repeat(4000).into();
        Block {
            place: "user",
            text,
            breakpoint,
        }
    }

    /// Requests and answers at once; returns read, short and long writes, and fresh input.
    fn ask(cache: &mut Cache, names: &str, now: Instant) -> [u64; 4] {
        let plan = cache.plan("m", &blocks(names), now);
        cache.commit(&plan, now);
        let Tokens {
            cache_read,
            cache_write_short,
            cache_write_long,
            input,
            ..
        } = plan.usage;
        [cache_read, cache_write_short, cache_write_long, input]
    }

    fn cache() -> (Cache, Instant) {
        (Cache::new(CacheTimes::default()), Instant::now())
    }

    #[test]
    fn a_prefix_is_written_once_and_read_after() {
        let (mut cache, now) = cache();
        assert_eq!(ask(&mut cache, "a b! c", now), [0, 2000, 0, 1000]);
        assert_eq!(ask(&mut cache, "a b! d", now), [2000, 0, 0, 1000]);
        assert_eq!(ask(&mut cache, "x b! d", now), [0, 2000, 0, 1000]);
    }

    #[test]
    fn nothing_is_readable_before_the_first_answer_begins() {
        let (mut cache, now) = cache();
        let first = cache.plan("m", &blocks("a!"), now);
        let second = cache.plan("m", &blocks("a!"), now);
        assert_eq!(
            [
                first.usage.cache_write_short,
                second.usage.cache_write_short
            ],
            [1000, 1000]
        );
        cache.commit(&first, now);
        assert_eq!(cache.plan("m", &blocks("a!"), now).usage.cache_read, 1000);
    }

    #[test]
    fn another_model_reads_nothing() {
        let (mut cache, now) = cache();
        ask(&mut cache, "a!", now);
        assert_eq!(cache.plan("other", &blocks("a!"), now).usage.cache_read, 0);
    }

    #[test]
    fn a_hit_renews_the_life_of_an_entry() {
        let (mut cache, start) = cache();
        let minute = |minutes: u64| start + Duration::from_secs(60 * minutes);
        ask(&mut cache, "a!", start);
        assert_eq!(ask(&mut cache, "a!", minute(4))[0], 1000);
        assert_eq!(ask(&mut cache, "a!", minute(8))[0], 1000);
        assert_eq!(ask(&mut cache, "a!", minute(13))[0], 0);
    }

    #[test]
    fn breakpoints_of_an_hour_outlive_short_ones() {
        let (mut cache, start) = cache();
        assert_eq!(ask(&mut cache, "a* b! c", start), [0, 1000, 1000, 1000]);
        assert_eq!(
            ask(&mut cache, "a* b! c", start + Duration::from_secs(600)),
            [1000, 1000, 0, 1000]
        );
    }

    #[test]
    fn a_conversation_reads_what_its_last_turn_wrote() {
        let (mut cache, now) = cache();
        ask(&mut cache, "a b!", now);
        assert_eq!(ask(&mut cache, "a b c d!", now), [2000, 2000, 0, 0]);
    }

    #[test]
    fn an_entry_further_back_than_the_lookback_is_not_found() {
        let (mut cache, now) = cache();
        ask(&mut cache, "a!", now);
        let near = format!("a {}z!", "b ".repeat(18));
        let far = format!("a {}z!", "c ".repeat(19));
        assert_eq!(ask(&mut cache, &near, now)[0], 1000);
        assert_eq!(ask(&mut cache, &far, now)[0], 0);
    }

    #[test]
    fn a_prefix_below_the_minimum_is_not_cached() {
        let mut cache = Cache::new(CacheTimes {
            tokens_min: 1001,
            ..CacheTimes::default()
        });
        assert_eq!(ask(&mut cache, "a! b", Instant::now()), [0, 0, 0, 2000]);
    }
}
