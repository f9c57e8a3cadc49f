//! Shared by all groups: the binary, the directory, the rounds, the table.

use crate::table::Table;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Shared by all groups.
pub(crate) struct Bench {
    /// The rows of the current group.
    pub(crate) table: Table,
    /// Rounds per figure.
    pub(crate) rounds: u32,
    divisi: PathBuf,
    folder: PathBuf,
}

impl Bench {
    /// Finds the binary: the named one, or the one next to this program.
    pub(crate) fn new(
        rounds: u32,
        divisi: Option<PathBuf>,
        folder: Option<PathBuf>,
    ) -> Result<Self> {
        let divisi = match divisi {
            Some(path) => path,
            None => this_program()?.with_file_name("divisi"),
        };
        let divisi = divisi.canonicalize().with_context(|| {
            format!(
                "there is no {}; build it with `cargo build --profile dist -p divisi`",
                divisi.display()
            )
        })?;
        let folder = folder.unwrap_or_else(std::env::temp_dir);
        Ok(Self {
            table: Table::default(),
            rounds: rounds.max(1),
            divisi,
            folder,
        })
    }

    /// The built binary.
    pub(crate) fn divisi(&self) -> &Path {
        &self.divisi
    }

    /// A directory on the measured disk, removed when dropped.
    pub(crate) fn scratch(&self) -> Result<TempDir> {
        tempfile::tempdir_in(&self.folder)
            .with_context(|| format!("cannot make a folder in {}", self.folder.display()))
    }
}

/// This program, which is also the mock and the loops.
pub(crate) fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot tell where this program is")
}

/// The best of two measurements each, made alternately, so that both are affected alike by other
/// load on the machine.
pub(crate) fn best_of_both<T: PartialOrd>(
    rounds: u32,
    mut round: impl FnMut() -> Result<(T, T)>,
) -> Result<(T, T)> {
    let mut best = round()?;
    for _ in 1..rounds {
        let (bare, ours) = round()?;
        best = (least(best.0, bare), least(best.1, ours));
    }
    Ok(best)
}

/// The best of several rounds.
pub(crate) fn best<T: PartialOrd>(rounds: u32, mut round: impl FnMut() -> Result<T>) -> Result<T> {
    let mut best = round()?;
    for _ in 1..rounds {
        best = least(best, round()?);
    }
    Ok(best)
}

fn least<T: PartialOrd>(a: T, b: T) -> T {
    if b < a { b } else { a }
}

/// The duration of `work`.
pub(crate) fn time(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// Checks `is_so` every few milliseconds, for at most `most`.
pub(crate) fn wait_until(
    what: &str,
    most: Duration,
    mut is_so: impl FnMut() -> Result<bool>,
) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(5);
    let start = Instant::now();
    while !is_so()? {
        if start.elapsed() > most {
            bail!("{what} did not happen within {} s", most.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
