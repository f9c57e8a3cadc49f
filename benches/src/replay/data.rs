//! Reading a history of real tasks.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// One real task and what several models did about it. How hard people found
/// it is in the file as well, and is not read: no run would know it.
#[derive(Deserialize)]
pub(super) struct Case {
    /// What it belongs to: the label of the task.
    pub(super) repo: String,
    /// Its prompt, as far as the history has it.
    pub(super) title: String,
    /// By model: whether it was solved, dollars, requests.
    pub(super) results: BTreeMap<String, (u8, f64, u32)>,
}

/// Reads a history; says in words what is wrong with it.
pub(super) fn read(path: &Path) -> Result<Vec<Case>, String> {
    let file = File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    let plain: Box<dyn Read> = match path.extension() {
        Some(end) if end == "gz" => Box::new(flate2::read::GzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut cases = Vec::new();
    for (i, line) in BufReader::new(plain).lines().enumerate() {
        let place = || format!("{}:{}", path.display(), i + 1);
        let line = line.map_err(|error| format!("{}: {error}", place()))?;
        if !line.trim().is_empty() {
            cases.push(serde_json::from_str(&line).map_err(|error| format!("{}: {error}", place()))?);
        }
    }
    if cases.len() < 2 * super::estimates::TOTAL_TASKS {
        return Err(format!(
            "{} has {} tasks, too few to learn from half of them",
            path.display(),
            cases.len()
        ));
    }
    Ok(cases)
}
