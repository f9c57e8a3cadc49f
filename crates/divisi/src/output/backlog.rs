//! Output that is not yet written.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// Bytes kept in memory: seconds of output of the fastest run, and little compared with a run's
/// other memory.
const MEMORY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What happens to output that exceeds the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    /// It is written to an unnamed temporary file.
    Spill,
    /// It is dropped, and its lines are counted.
    Drop,
}

/// Output that is not yet written, in order.
pub(super) struct Backlog {
    overflow: Overflow,
    memory: VecDeque<u8>,
    /// The output after that in `memory`.
    spilt: Option<Spilt>,
    /// Lines dropped since the last one that was kept.
    left_out: u64,
}

/// Bytes in a file, the first of which have been taken.
struct Spilt {
    file: File,
    taken: u64,
    end: u64,
}

impl Backlog {
    pub(super) fn new(overflow: Overflow) -> Self {
        Self {
            overflow,
            memory: VecDeque::new(),
            spilt: None,
            left_out: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.spilt.is_none()
    }

    pub(super) fn clear(&mut self) {
        (self.memory, self.spilt) = (VecDeque::new(), None);
    }

    /// Adds `bytes`. Fails, and adds none, if they need a file that cannot be written.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fits = self.spilt.is_none() && self.memory.len() + bytes.len() <= MEMORY_BYTES_MAX;
        match self.overflow {
            Overflow::Drop if !fits && !self.memory.is_empty() => {
                self.left_out += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                Ok(())
            }
            Overflow::Spill if !fits => self.spill(bytes),
            Overflow::Drop | Overflow::Spill => {
                if self.left_out > 0 {
                    let note = format!("\n… {} lines left out: nothing read them\n", self.left_out);
                    self.memory.extend(note.bytes());
                    self.left_out = 0;
                }
                self.memory.extend(bytes);
                Ok(())
            }
        }
    }

    fn spill(&mut self, bytes: &[u8]) -> io::Result<()> {
        let spilt = match &mut self.spilt {
            Some(spilt) => spilt,
            none => none.insert(Spilt {
                file: tempfile::tempfile()?,
                taken: 0,
                end: 0,
            }),
        };
        spilt.file.write_all_at(bytes, spilt.end)?;
        spilt.end += bytes.len() as u64;
        Ok(())
    }

    /// Moves up to `most` bytes to the end of `chunk`.
    pub(super) fn take(&mut self, chunk: &mut Vec<u8>, most: usize) -> io::Result<()> {
        if !self.memory.is_empty() {
            let count = most.min(self.memory.len());
            // Cannot fail: `chunk` is memory.
            let (front, back) = self.memory.as_slices();
            let first = count.min(front.len());
            chunk.write_all(&front[..first])?;
            chunk.write_all(&back[..count - first])?;
            self.memory.drain(..count);
            return Ok(());
        }
        let Some(spilt) = &mut self.spilt else {
            return Ok(());
        };
        let count = (most as u64).min(spilt.end - spilt.taken);
        chunk.resize(count as usize, 0);
        spilt.file.read_exact_at(chunk, spilt.taken)?;
        spilt.taken += count;
        if spilt.taken == spilt.end {
            self.spilt = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(backlog: &mut Backlog) -> Vec<u8> {
        let mut all = vec![];
        while !backlog.is_empty() {
            let mut chunk = vec![];
            backlog.take(&mut chunk, 1_000).unwrap();
            all.extend(chunk);
        }
        all
    }

    #[test]
    fn what_does_not_fit_into_memory_comes_in_its_order_all_the_same() {
        let mut backlog = Backlog::new(Overflow::Spill);
        let mut pushed = vec![];
        for number in 0..5u8 {
            let bytes = vec![number; MEMORY_BYTES_MAX / 2];
            backlog.push(&bytes).unwrap();
            pushed.extend(bytes);
        }
        assert_eq!(backlog.memory.len(), MEMORY_BYTES_MAX);
        assert!(all(&mut backlog) == pushed);
        backlog.push(b"a").unwrap();
        assert_eq!(
            (all(&mut backlog), backlog.spilt.is_none()),
            (b"a".to_vec(), true)
        );
    }

    #[test]
    fn one_text_that_is_larger_than_all_the_room_is_not_left_out() {
        let mut backlog = Backlog::new(Overflow::Drop);
        backlog.push(&vec![0; MEMORY_BYTES_MAX + 1]).unwrap();
        assert_eq!(all(&mut backlog).len(), MEMORY_BYTES_MAX + 1);
    }
}
