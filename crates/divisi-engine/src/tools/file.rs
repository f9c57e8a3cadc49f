//! Reading a whole file for a model, with errors that help it on.

use super::path::{Place, Root, reason};
use super::walk::walk;
use std::io::{self, Read};
use tokio_util::sync::CancellationToken;

/// Largest file that is read. Nothing that large is meant to be read by a
/// model; searching it and running commands on it still work.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Names proposed for one that does not exist.
const PROPOSALS_MAX: usize = 3;

/// How alike two names must be, from 0 to 1, for one to be a slip of the other.
const LIKENESS_MIN: f64 = 0.75;

/// Finds a place where something is.
pub(super) fn locate_existing(root: &Root, asked: &str) -> Result<Place, String> {
    let place = root.locate(asked)?;
    match root.path().join(place.path()).exists() {
        true => Ok(place),
        false => Err(missing(root, asked, &place)),
    }
}

/// Reads all of the file at `place`, which was asked for as `asked`.
pub(super) fn read(root: &Root, asked: &str, place: &Place) -> Result<Vec<u8>, String> {
    let fail = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => missing(root, asked, place),
        io::ErrorKind::IsADirectory => format!("`{asked}` is a folder; list_files shows what is in it"),
        _ => format!("`{asked}` cannot be read: {}", reason(&error)),
    };
    let mut bytes = Vec::new();
    let mut file = root.open_file(place).map_err(fail)?.take(FILE_BYTES_MAX + 1);
    file.read_to_end(&mut bytes).map_err(fail)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(format!("`{asked}` is larger than {FILE_BYTES_MAX} bytes; search it instead")),
        false => Ok(bytes),
    }
}

fn missing(root: &Root, asked: &str, place: &Place) -> String {
    match proposals(root, place).as_slice() {
        [] => format!("`{asked}` does not exist"),
        names => format!("`{asked}` does not exist; did you mean {}?", names.join(" or ")),
    }
}

/// Existing files that may be meant: the same name elsewhere before similar
/// names, near folders before far ones.
fn proposals(root: &Root, place: &Place) -> Vec<String> {
    let Some(wanted) = place.path().file_name().map(|name| name.to_string_lossy().to_lowercase()) else {
        return Vec::new();
    };
    let Ok(everything) =
        root.locate(".").and_then(|start| walk(root, &start, None, &CancellationToken::new()))
    else {
        return Vec::new();
    };
    let whole = place.display();
    let mut ranked: Vec<_> = everything
        .entries
        .iter()
        .filter_map(|entry| {
            let name = entry.place.path().file_name()?.to_string_lossy().to_lowercase();
            let likeness = strsim::jaro_winkler(&wanted, &name);
            let path = entry.place.display();
            let nearness = strsim::normalized_levenshtein(&whole, &path);
            (likeness >= LIKENESS_MIN).then_some((likeness, nearness, path))
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
    ranked.truncate(PROPOSALS_MAX);
    ranked.into_iter().map(|(_, _, path)| format!("`{path}`")).collect()
}
