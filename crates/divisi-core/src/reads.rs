//! Finds the tasks whose results a prompt contains.
//!
//! A script puts results into prompts in any form: whole, cut, as JSON, within other text. So a few
//! short pieces of each result are kept, plain and as escaped in JSON, and each new prompt is
//! searched once with a rolling hash. Rewritten results are not found, and neither are results too
//! short to exclude a coincidence.

use crate::TaskId;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Length of the pieces.
const WINDOW_BYTES: usize = 32;

/// Bytes that must match from the start of a piece, or the whole result if it is shorter: headings
/// and openings shared by many results are shorter than this.
const MATCH_BYTES_MIN: usize = 64;

/// Places of a text at which pieces are taken, in quarters of its length. If a text was cut or a
/// line removed, one of them remains.
const PLACES: [usize; 5] = [0, 1, 2, 3, 4];

/// Most texts within one result that are searched for separately, such as fields of an object.
const TEXTS_MAX: usize = 16;

/// Most pieces kept; beyond it the oldest are removed. It is enough for some ten thousand tasks, in
/// some ten megabytes.
const PIECES_MAX: usize = 1 << 17;

/// Results with the same piece that are distinguished by their further text.
const ALIKE_MAX: usize = 8;

/// Most tasks named for one prompt. A prompt with more results has waited for their group, too.
pub const READS_MAX: usize = 1_024;

/// Bits of the filter: large enough that few places of a prompt need a lookup in the map.
const FILTER_BITS: usize = 1 << 21;

const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Factor of the byte that leaves the window.
const LEAVING: u64 = {
    let (mut power, mut i) = (1_u64, 1);
    while i < WINDOW_BYTES {
        power = power.wrapping_mul(BASE);
        i += 1;
    }
    power
};

/// The results given to a flow, indexed for search in prompts.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    pieces: BTreeMap<u64, Vec<Piece>>,
    /// The pieces, oldest first.
    order: VecDeque<u64>,
    filter: Vec<u64>,
    forgotten: usize,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    task: TaskId,
    /// Length and hash of the text that must follow.
    length: u8,
    hash: u64,
    /// Whether several tasks have the same text there.
    is_shared: bool,
}

impl Reads {
    /// Adds the result of a task, given to the flow as JSON text.
    pub fn given(&mut self, task: TaskId, json: &str) {
        if json.len() < WINDOW_BYTES {
            return;
        }
        let Ok(value) = serde_json::from_str(json) else {
            return;
        };
        match &value {
            Value::String(text) => self.remember(task, text, &json[1..json.len() - 1]),
            _ => {
                self.take_pieces(task, json.as_bytes());
                let mut left = TEXTS_MAX;
                self.remember_texts(task, &value, &mut left);
            }
        }
    }

    fn remember_texts(&mut self, task: TaskId, value: &Value, left: &mut usize) {
        match value {
            _ if *left == 0 => {}
            Value::String(text) if text.len() >= WINDOW_BYTES => {
                *left -= 1;
                let json = value.to_string();
                self.remember(task, text, &json[1..json.len() - 1]);
            }
            Value::Array(values) => values
                .iter()
                .for_each(|value| self.remember_texts(task, value, left)),
            Value::Object(fields) => fields
                .values()
                .for_each(|value| self.remember_texts(task, value, left)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Adds a text, plain and as escaped in JSON.
    fn remember(&mut self, task: TaskId, text: &str, escaped: &str) {
        self.take_pieces(task, text.trim().as_bytes());
        if escaped != text {
            self.take_pieces(task, escaped.as_bytes());
        }
    }

    fn take_pieces(&mut self, task: TaskId, text: &[u8]) {
        if text.len() < WINDOW_BYTES {
            return;
        }
        let length = text.len().min(MATCH_BYTES_MIN);
        let mut last = None;
        for quarter in PLACES {
            let place = (text.len() - length) * quarter / (PLACES.len() - 1);
            if last.replace(place) != Some(place) {
                self.add(task, &text[place..place + length]);
            }
        }
    }

    fn add(&mut self, task: TaskId, text: &[u8]) {
        let key = text[..WINDOW_BYTES]
            .iter()
            .fold(0, |hash, byte| enter(hash, *byte));
        let hash = hash_of(text);
        let alike = self.pieces.entry(key).or_default();
        if let Some(known) = alike.iter_mut().find(|known| known.hash == hash) {
            known.is_shared |= known.task != task;
            return;
        }
        if alike.len() == ALIKE_MAX {
            return;
        }
        let length = text.len() as u8;
        alike.push(Piece {
            task,
            length,
            hash,
            is_shared: false,
        });
        self.order.push_back(key);
        self.filter.resize(FILTER_BITS / 64, 0);
        let (word, bit) = bit_of(key);
        self.filter[word] |= bit;
        if self.order.len() > PIECES_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(key) = self.order.pop_front() else {
            return;
        };
        if let Some(alike) = self.pieces.get_mut(&key) {
            alike.remove(0);
            if alike.is_empty() {
                self.pieces.remove(&key);
            }
        }
        self.forgotten += 1;
        if self.forgotten == PIECES_MAX {
            self.forgotten = 0;
            self.filter.fill(0);
            for key in &self.order {
                let (word, bit) = bit_of(*key);
                self.filter[word] |= bit;
            }
        }
    }

    /// The tasks whose results these texts contain, in task order. Among equal results the first
    /// one counts, and only if nothing else is found.
    pub fn of<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Vec<TaskId> {
        let (mut found, mut shared) = (BTreeSet::new(), BTreeSet::new());
        if !self.pieces.is_empty() {
            for text in texts {
                self.look_through(text.as_bytes(), &mut found, &mut shared);
            }
        }
        let found = if found.is_empty() { shared } else { found };
        found.into_iter().take(READS_MAX).collect()
    }

    fn look_through(
        &self,
        text: &[u8],
        found: &mut BTreeSet<TaskId>,
        shared: &mut BTreeSet<TaskId>,
    ) {
        let mut hash = 0_u64;
        for (end, byte) in text.iter().enumerate() {
            if let Some(start) = end.checked_sub(WINDOW_BYTES) {
                hash = hash.wrapping_sub(value_of(text[start]).wrapping_mul(LEAVING));
            }
            hash = enter(hash, *byte);
            let (word, bit) = bit_of(hash);
            if end + 1 >= WINDOW_BYTES && self.filter[word] & bit != 0 {
                let from = &text[end + 1 - WINDOW_BYTES..];
                for piece in self.pieces.get(&hash).into_iter().flatten() {
                    let is_it = |there: &[u8]| hash_of(there) == piece.hash;
                    if from.get(..piece.length.into()).is_some_and(is_it) {
                        if piece.is_shared {
                            &mut *shared
                        } else {
                            &mut *found
                        }
                        .insert(piece.task);
                    }
                }
            }
        }
    }
}

fn enter(hash: u64, byte: u8) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(value_of(byte))
}

/// Every byte counts for more than zero, so that texts of different lengths have different hashes.
fn value_of(byte: u8) -> u64 {
    u64::from(byte) + 1
}

fn hash_of(text: &[u8]) -> u64 {
    blake3::hash(text)
        .as_bytes()
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Position of a hash in the filter.
fn bit_of(hash: u64) -> (usize, u64) {
    // The lower bits depend on the last bytes only.
    let place = (hash >> (64 - FILTER_BITS.ilog2())) as usize;
    (place / 64, 1 << (place % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn result(i: u32) -> String {
        let lines =
            (0..20).map(|line| format!("{line}. file {} of task {i} is \"fine\"\n", line * 7 + i));
        lines.collect()
    }

    fn reads(count: u32) -> Reads {
        let mut reads = Reads::default();
        for i in 0..count {
            reads.given(TaskId(i), &Value::from(result(i)).to_string());
        }
        reads
    }

    fn found(reads: &Reads, prompt: &str) -> Vec<u32> {
        reads.of([prompt]).into_iter().map(|task| task.0).collect()
    }

    #[test]
    fn results_are_found_whole_cut_and_as_json() {
        let reads = reads(9);
        let text = result(3);
        assert_eq!(
            found(&reads, &format!("Verify this:\n{text}\nIs it so?")),
            [3]
        );
        assert_eq!(found(&reads, &format!("Verify:\n{}…", &text[..100])), [3]);
        assert_eq!(found(&reads, &format!("Verify:\n{}", &text[300..])), [3]);
        let both = serde_json::json!([result(7), { "report": result(2) }]);
        assert_eq!(
            found(&reads, &serde_json::to_string_pretty(&both).unwrap()),
            [2, 7]
        );
        assert!(
            found(
                &reads,
                "Verify all files of all tasks, each of which may be \"fine\"."
            )
            .is_empty()
        );
        assert_eq!(
            reads.of(["a prompt", &result(1)]),
            [TaskId(1)],
            "in its context, too"
        );
    }

    #[test]
    fn texts_of_an_object_are_found_by_themselves() {
        let mut reads = Reads::default();
        let finding = "The sum is rounded before it is added, so that cents are lost.";
        reads.given(
            TaskId(4),
            &serde_json::json!({"line": 7, "why": [finding]}).to_string(),
        );
        assert_eq!(found(&reads, &format!("Is this right? {finding}")), [4]);
    }

    #[test]
    fn what_results_share_says_nothing_where_something_else_does() {
        let mut reads = Reads::default();
        let opening = "I have reviewed the file with great care, from its first line to its last. ";
        let own = |i: u32| {
            format!(
                "Result {i} is that the module number {i} has {i} errors in all of its {i} parts."
            )
        };
        for i in 0..3 {
            reads.given(
                TaskId(i),
                &Value::from(format!("{opening}{opening}{}{}", own(i), own(i + 10))).to_string(),
            );
        }
        assert_eq!(
            found(&reads, &format!("{opening}{opening}{}{}", own(1), own(11))),
            [1]
        );
        assert_eq!(
            found(&reads, &format!("{opening} Say the same.")),
            [0],
            "the first of those that have it"
        );
    }

    #[test]
    fn short_results_are_no_reads() {
        let mut reads = Reads::default();
        reads.given(TaskId(0), "\"ok\"");
        reads.given(TaskId(1), "[1,2,3,4,5]");
        assert!(found(&reads, "ok [1,2,3,4,5]").is_empty());
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut reads = reads(u32::try_from(PIECES_MAX / 5).unwrap());
        assert!(reads.order.len() <= PIECES_MAX);
        reads = (0..3).fold(reads, |mut reads, i| {
            reads.given(
                TaskId(1_000_000 + i),
                &Value::from(result(1_000_000 + i)).to_string(),
            );
            reads
        });
        assert!(reads.order.len() <= PIECES_MAX && reads.pieces.len() <= PIECES_MAX);
        assert!(found(&reads, &result(0)).is_empty());
        assert_eq!(found(&reads, &result(1_000_002)), [1_000_002]);
    }

    proptest! {
        #[test]
        fn a_result_is_found_wherever_it_stands(
            text in "\\PC{40,400}",
            before in "\\PC{0,200}",
            after in "\\PC{0,200}",
        ) {
            let mut reads = Reads::default();
            reads.given(TaskId(5), &Value::from(text.as_str()).to_string());
            let is_long = text.trim().len() >= WINDOW_BYTES;
            let expected = if is_long { vec![TaskId(5)] } else { vec![] };
            prop_assert_eq!(reads.of([format!("{before}{text}{after}").as_str()]), expected);
        }
    }
}
