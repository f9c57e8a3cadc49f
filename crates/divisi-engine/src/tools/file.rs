//! Reads whole files for a model, with errors that suggest the next step.

use super::path::{Place, Root, reason};
use super::walk::{Entry, walk};
use super::watch::Watch;
use divisi_core::nearest::likeness;
use std::io::{self, Read};

/// Largest file read or written. A larger one is not meant to be read by a model; searching it and
/// running commands on it still work.
pub(super) const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Most proposals for a missing file.
const PROPOSALS_MAX: usize = 3;

/// Most files compared for a proposal: enough for nearly all projects, and comparing takes longer
/// than listing.
const LOOKED_AT_MAX: usize = 20_000;

/// Characters of two paths that are compared, from their ends.
const COMPARED_CHARS_MAX: usize = 200;

/// Finds an existing place.
pub(super) fn locate_existing(root: &Root, asked: &str, watch: &Watch) -> Result<Place, String> {
    let place = root.locate(asked)?;
    match root.kind(&place) {
        Ok(_) => Ok(place),
        Err(_) => Err(missing(root, asked, &place, watch)),
    }
}

/// Reads the whole file at `place`, requested as `asked`.
pub(super) fn read(
    root: &Root,
    asked: &str,
    place: &Place,
    watch: &Watch,
) -> Result<Vec<u8>, String> {
    let fail = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => missing(root, asked, place, watch),
        io::ErrorKind::IsADirectory => {
            format!("`{asked}` is a folder; list_files shows what is in it")
        }
        _ => format!("`{asked}` cannot be read: {}", reason(&error)),
    };
    let mut bytes = Vec::new();
    let mut file = root
        .open_file(place)
        .map_err(fail)?
        .take(FILE_BYTES_MAX + 1);
    file.read_to_end(&mut bytes).map_err(fail)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(format!(
            "`{asked}` is larger than {FILE_BYTES_MAX} bytes; search it instead"
        )),
        false => Ok(bytes),
    }
}

fn missing(root: &Root, asked: &str, place: &Place, watch: &Watch) -> String {
    match proposals(root, place, watch).as_slice() {
        [] => format!("`{asked}` does not exist"),
        names => format!(
            "`{asked}` does not exist; did you mean {}?",
            names.join(" or ")
        ),
    }
}

/// Existing files that may be meant: equal names before similar ones, near folders before distant
/// ones.
fn proposals(root: &Root, place: &Place, watch: &Watch) -> Vec<String> {
    let Some(wanted) = place
        .path()
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
    else {
        return Vec::new();
    };
    let Ok(everything) = root
        .locate(".")
        .and_then(|start| walk(root, &start, None, watch))
    else {
        return Vec::new();
    };
    let whole = place.display();
    let alike = |entry: &Entry| {
        let name = entry.place.path().file_name()?.to_string_lossy();
        let likeness = likeness(&wanted, &name)?;
        let path = entry.place.display();
        Some((
            likeness,
            strsim::normalized_levenshtein(end_of(&whole), end_of(&path)),
            path,
        ))
    };
    let looked_at = everything
        .entries
        .iter()
        .take(LOOKED_AT_MAX)
        .take_while(|_| watch.look().is_ok());
    let mut ranked: Vec<_> = looked_at.filter_map(alike).collect();
    ranked.sort_by(|a, b| {
        b.0.total_cmp(&a.0)
            .then(b.1.total_cmp(&a.1))
            .then(a.2.cmp(&b.2))
    });
    ranked.truncate(PROPOSALS_MAX);
    ranked
        .into_iter()
        .map(|(_, _, path)| format!("`{path}`"))
        .collect()
}

fn end_of(path: &str) -> &str {
    &path[path.ceil_char_boundary(path.len().saturating_sub(COMPARED_CHARS_MAX))..]
}
