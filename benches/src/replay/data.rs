//! Reading a history of real tasks.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// One real task and the results of several models. The file also has how hard people found it,
/// which is not read: no run would know it.
#[derive(Deserialize)]
pub(super) struct Case {
    /// Its repository: the label of the task.
    pub(super) repo: String,
    /// Its prompt, as far as the file has it.
    pub(super) title: String,
    /// By model: solved or not, dollars, requests.
    pub(super) results: BTreeMap<String, (u8, f64, u32)>,
}

/// Reads a file of real tasks; an error is a phrase.
pub(super) fn read(path: &Path) -> Result<Vec<Case>, String> {
    let file =
        File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    let plain: Box<dyn Read> = match path.extension() {
        Some(end) if end == "gz" => Box::new(flate2::read::GzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut cases = Vec::new();
    for (i, line) in BufReader::new(plain).lines().enumerate() {
        let place = || format!("{}:{}", path.display(), i + 1);
        let line = line.map_err(|error| format!("{}: {error}", place()))?;
        if !line.trim().is_empty() {
            cases.push(
                serde_json::from_str(&line).map_err(|error| format!("{}: {error}", place()))?,
            );
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Reads a file with these lines under this name.
    fn read_lines(name: &str, lines: &[String]) -> Result<Vec<Case>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let text = lines.join("\n");
        if name.ends_with("gz") {
            let file = File::create(&path).unwrap();
            let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            packed.write_all(text.as_bytes()).unwrap();
            packed.finish().unwrap();
        } else {
            std::fs::write(&path, text).unwrap();
        }
        read(&path).map_err(|problem| problem.replace(&folder.path().display().to_string(), ""))
    }

    fn line(i: u32) -> String {
        format!(
            r#"{{"repo":"r","title":"t{i}","difficulty":"hard","results":{{"m":[1,0.5,{i}]}}}}"#
        )
    }

    #[test]
    fn plain_and_packed_histories_are_read_alike() {
        let lines: Vec<String> = (0..50).map(line).collect();
        for name in ["h.jsonl", "h.jsonl.gz"] {
            let cases = read_lines(name, &lines).unwrap();
            assert_eq!(
                (cases.len(), cases[7].results["m"]),
                (50, (1, 0.5, 7)),
                "{name}"
            );
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let mut lines: Vec<String> = (0..50).map(line).collect();
        lines[2] = r#"{"repo":"r"}"#.to_owned();
        let problem = read_lines("h.jsonl", &lines).err().unwrap();
        assert!(
            problem.starts_with("/h.jsonl:3: missing field `title`"),
            "{problem}"
        );
        let problem = read_lines("h.jsonl", &lines[..2]).err().unwrap();
        assert_eq!(
            problem,
            "/h.jsonl has 2 tasks, too few to learn from half of them"
        );
    }
}
