//! Figures and the table they are printed in.

use std::io::Write;
use std::time::{Duration, Instant};

/// Rows of figures.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    /// Adds a figure, what a bare loop takes for the same, and what is aimed at.
    pub(crate) fn row(&mut self, what: &str, figure: String, floor: Option<String>, aim: &str) {
        let row = [what.to_owned(), figure, floor.unwrap_or_else(|| "–".to_owned()), aim.to_owned()];
        // Progress for whoever waits; the table follows at the end.
        let _ = writeln!(std::io::stderr(), "{}: {} (bare loop {}, aim {})", row[0], row[1], row[2], row[3]);
        self.rows.push(row);
    }

    /// Prints all rows as Markdown.
    pub(crate) fn print(&self) {
        let mut out = std::io::stdout().lock();
        let mut line = |cells: [&str; 4]| {
            // A reader that has gone away has seen enough.
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        };
        line(["figure", "divisi", "bare loop", "aim"]);
        line(["---", "---", "---", "---"]);
        for [a, b, c, d] in &self.rows {
            line([a, b, c, d]);
        }
    }
}

/// The shortest of several rounds.
pub(crate) fn best(rounds: u32, mut round: impl FnMut() -> Duration) -> Duration {
    (0..rounds.max(1)).map(|_| round()).min().unwrap_or_default()
}

/// How long `work` takes.
pub(crate) fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Microseconds per task.
pub(crate) fn per_task(total: Duration, tasks: usize) -> String {
    format!("{:.1} µs", total.as_secs_f64() * 1e6 / tasks as f64)
}

/// Resident memory of this process in bytes, from `/proc`; zero elsewhere.
pub(crate) fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE_BYTES
}
