//! Results in a folder, one file for each task.

use super::Format;
use super::form::{self, Row};
use crate::save;
use anyhow::Context as _;
use divisi_app::Problem;
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;

/// Characters of a label in the name of a file.
const NAME_CHARS_MAX: usize = 80;

/// Writes the results there are, in this form: without one, texts as Markdown and values as JSON.
/// Files of other names are left as they are.
pub(crate) fn write(rows: &[Row], format: Option<Format>, folder: &Path) -> Result<(), Problem> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut taken = HashSet::new();
    for row in rows {
        let Some(result) = &row.result else { continue };
        let ending = match (format, result) {
            (Some(format), _) => format.ending(),
            (None, Value::String(_)) => "md",
            (None, _) => "json",
        };
        let mut name = format!("{}.{ending}", name(&row.label));
        if !taken.insert(name.to_lowercase()) {
            name = format!("{}-{name}", row.task);
        }
        let text = match format {
            // The name of the file says which task it is.
            None | Some(Format::Text) => row.text(),
            Some(format) => form::render(std::slice::from_ref(row), format)?,
        };
        let text = text.trim_end().to_owned() + "\n";
        save::save(&folder.join(name), &text, save::FOR_ALL)?;
    }
    Ok(())
}

/// A label as the name of a file: no path, no blanks, and not hidden.
fn name(label: &str) -> String {
    let plain = |c: char| {
        if c.is_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = label.chars().take(NAME_CHARS_MAX).map(plain).collect();
    match name.trim_matches(['-', '.']) {
        "" => "task".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_leads_out_of_the_folder() {
        for (label, expected) in [
            ("src/auth.rs", "src-auth.rs"),
            ("../../etc/passwd", "etc-passwd"),
            (".hidden", "hidden"),
            ("a b: c", "a-b--c"),
            ("..", "task"),
            ("日本", "日本"),
        ] {
            assert_eq!(name(label), expected);
        }
    }
}
