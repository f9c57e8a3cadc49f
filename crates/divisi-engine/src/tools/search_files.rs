//! The tool that finds lines in files.

use super::path::Root;
use super::walk::{Filter, walk};
use super::watch::Watch;
use super::{Answer, ToolDefinition, ToolLimits, file, input};
use divisi_providers::redact;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::sinks::Bytes;
use grep_searcher::{
    BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkFinish, SinkMatch,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::io::{self, Read};

pub(super) const NAME: &str = "search_files";

/// Bytes shown of one line: minified files have lines of megabytes.
const LINE_BYTES_MAX: usize = 400;

/// Most context lines around a match; beyond it, reading the file is better.
const CONTEXT_MAX: u64 = 20;

/// Memory for one line of a file, or for its context.
const LINE_MEMORY_BYTES: usize = 16 * 1024 * 1024;

/// Memory for the compiled pattern and for the state of a search. Some patterns take time
/// proportional to this and to the text, so it also bounds the time of a search.
const PATTERN_MEMORY_BYTES: usize = 2 * 1024 * 1024;

/// Deepest nesting of groups in a pattern, because the compiler is recursive.
const PATTERN_DEPTH_MAX: u32 = 64;

/// Bytes read between two checks of the watch.
const PART_BYTES: usize = 32 * 1024;

/// Most matches counted. With more, the pattern is too broad, whatever the number.
const COUNTED_MAX: usize = 10_000;

pub(super) fn definition() -> ToolDefinition {
    ToolDefinition {
        name: NAME,
        description: "Search the files of the workspace for lines that match a regular expression. \
                      Answers with paths and numbered lines, sorted by path. Binary files and files that \
                      git ignores are left out."
            .into(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "pattern": {
                    "type": "string", "minLength": 1,
                    "description": "A regular expression in Rust syntax, matched line by line. Without look-around and back-references."
                },
                "path": { "type": "string", "description": "The folder or file to search. The whole workspace if absent." },
                "glob": {
                    "type": "string",
                    "description": "Which files, such as `*.rs` (by name, in any folder) or `src/**/*.{js,ts}` (by path). All if absent."
                },
                "ignore_case": { "type": "boolean", "description": "Whether upper and lower case are the same." },
                "context": {
                    "type": "integer", "minimum": 0, "maximum": CONTEXT_MAX,
                    "description": "How many lines to show before and after each match. None if absent."
                },
                "files_only": { "type": "boolean", "description": "Whether to answer with paths and numbers of matches only." }
            },
            "required": ["pattern"],
            "additionalProperties": false
        }),
    }
}

#[derive(Deserialize)]
struct Input {
    pattern: String,
    path: Option<String>,
    glob: Option<String>,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    context: usize,
    #[serde(default)]
    files_only: bool,
}

pub(super) fn run(root: &Root, limits: &ToolLimits, input: Value, watch: &Watch) -> Answer {
    let input: Input = input::read(input)?;
    let start = file::locate_existing(root, input.path.as_deref().unwrap_or("."), watch)?;
    let filter = Filter::new(input.glob.as_deref(), &start)?;
    let matcher = RegexMatcherBuilder::new()
        .case_insensitive(input.ignore_case)
        .line_terminator(Some(b'\n'))
        .size_limit(PATTERN_MEMORY_BYTES)
        .dfa_size_limit(PATTERN_MEMORY_BYTES)
        .nest_limit(PATTERN_DEPTH_MAX)
        .build(&input.pattern)
        .map_err(|error| format!("the pattern is not valid: {error}"))?;
    let found = walk(root, &start, None, watch)?;
    let files = found
        .entries
        .iter()
        .filter(|entry| !entry.is_folder && filter.fits(&entry.place));

    let mut report = Report::new(limits.entries_max);
    for entry in files {
        watch.look()?;
        let path = entry.place.display();
        let file = root.open_file(&entry.place);
        match file.and_then(|file| {
            Hits::find(
                &matcher,
                &Watched { file, watch },
                input.context,
                report.lines_left(),
            )
        }) {
            Ok(hits) if input.files_only => report.add_count(&path, &hits),
            Ok(hits) => report.add_lines(&path, hits),
            Err(_) => {
                watch.look()?;
                // A search that was stopped has returned above; this is a file that cannot be read.
                report.unreadable += 1;
            }
        }
        if report.matches >= COUNTED_MAX {
            break;
        }
    }
    Ok(report.text(&found.remarks))
}

/// Reads a file in small parts, checking the watch before each.
struct Watched<'w> {
    file: std::fs::File,
    watch: &'w Watch,
}

impl Read for &Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.watch.look().map_err(io::Error::other)?;
        let most = buffer.len().min(PART_BYTES);
        (&self.file).read(&mut buffer[..most])
    }
}

/// The matches in one file.
#[derive(Default)]
struct Hits<'a> {
    matcher: Option<&'a RegexMatcher>,
    lines: Vec<String>,
    /// Number of matches in `lines`, and number of all matches.
    shown: usize,
    matches: usize,
    shown_max: usize,
    is_binary: bool,
}

impl<'a> Hits<'a> {
    fn find(
        matcher: &'a RegexMatcher,
        file: &Watched<'_>,
        context: usize,
        shown_max: usize,
    ) -> io::Result<Self> {
        let mut hits = Self {
            matcher: Some(matcher),
            shown_max,
            ..Self::default()
        };
        SearcherBuilder::new()
            .before_context(context)
            .after_context(context)
            .binary_detection(BinaryDetection::quit(0))
            .heap_limit(Some(LINE_MEMORY_BYTES))
            .build()
            .search_reader(matcher, file, &mut hits)?;
        // Matches before the first zero byte do not count either.
        Ok(if hits.is_binary {
            Self::default()
        } else {
            hits
        })
    }

    fn push(&mut self, number: Option<u64>, mark: char, bytes: &[u8]) {
        // Redacted before it is cut, so that no part of a secret remains.
        let mut line = redact(&String::from_utf8_lossy(bytes))
            .trim_end()
            .to_owned();
        if line.len() > LINE_BYTES_MAX {
            line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
            line.push('…');
        }
        self.lines
            .push(format!("{}{mark}{line}", number.unwrap_or(0)));
    }
}

/// Whether the pattern matches only within a secret of the line: otherwise a secret could be
/// guessed letter by letter.
fn is_of_secret(matcher: &RegexMatcher, line: &[u8]) -> io::Result<bool> {
    let line = String::from_utf8_lossy(line);
    let Cow::Owned(left) = redact(&line) else {
        return Ok(false);
    };
    let mut matches = false;
    let first = Bytes(|_, _| {
        matches = true;
        Ok(false)
    });
    Searcher::new().search_slice(matcher, left.as_bytes(), first)?;
    Ok(!matches)
}

impl Sink for Hits<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        if let Some(matcher) = self.matcher
            && is_of_secret(matcher, found.bytes())?
        {
            return Ok(true);
        }
        self.matches += 1;
        if self.shown < self.shown_max {
            self.shown += 1;
            self.push(found.line_number(), ':', found.bytes());
        }
        Ok(self.matches < COUNTED_MAX)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        if self.shown < self.shown_max {
            self.push(context.line_number(), '-', context.bytes());
        }
        Ok(true)
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        if self.shown < self.shown_max {
            self.lines.push("--".to_owned());
        }
        Ok(true)
    }

    fn finish(&mut self, _: &Searcher, end: &SinkFinish) -> io::Result<()> {
        self.is_binary = end.binary_byte_offset().is_some();
        Ok(())
    }
}

/// Builds the answer.
struct Report {
    lines: Vec<String>,
    shown_max: usize,
    shown: usize,
    matches: usize,
    files_not_shown: usize,
    unreadable: usize,
}

impl Report {
    fn new(shown_max: usize) -> Self {
        Self {
            lines: Vec::new(),
            shown_max,
            shown: 0,
            matches: 0,
            files_not_shown: 0,
            unreadable: 0,
        }
    }

    fn lines_left(&self) -> usize {
        self.shown_max - self.shown
    }

    fn add_lines(&mut self, path: &str, hits: Hits<'_>) {
        self.matches += hits.matches;
        self.shown += hits.shown;
        if hits.shown > 0 {
            self.lines.push(path.to_owned());
            self.lines.extend(hits.lines);
            self.lines.push(String::new());
        }
        if hits.shown < hits.matches {
            self.files_not_shown += 1;
        }
    }

    fn add_count(&mut self, path: &str, hits: &Hits<'_>) {
        self.matches += hits.matches;
        match hits.matches {
            0 => {}
            _ if self.shown >= self.shown_max => self.files_not_shown += 1,
            matches => {
                self.shown += 1;
                self.lines.push(format!("{path}: {matches}"));
            }
        }
    }

    fn text(self, remarks: &str) -> String {
        let mut text = match self.matches {
            0 => "no matches".to_owned(),
            _ => self.lines.join("\n").trim_end().to_owned(),
        };
        if self.files_not_shown > 0 {
            let at_least = if self.matches >= COUNTED_MAX {
                "at least "
            } else {
                ""
            };
            text.push_str(&format!(
                "\n… more in {at_least}{} files, {at_least}{} matches in all; \
                 a narrower pattern, path or glob shows them",
                self.files_not_shown, self.matches
            ));
        }
        if self.unreadable > 0 {
            text.push_str(&format!(
                "\n… {} files could not be searched",
                self.unreadable
            ));
        }
        text + remarks
    }
}

#[cfg(test)]
mod tests {
    use crate::tools::fixture::Fixture;
    use serde_json::json;

    fn fixture() -> Fixture {
        Fixture::new()
            .file("b.rs", "fn main() {\n    run();\n}\n")
            .file(
                "a/lib.rs",
                "//! Lib.\n\npub fn run() {\n    walk()\n}\n\nfn walk() {}\n",
            )
            .file("a/notes.md", "run it\r\n")
            .file("image", "run\0run")
            .file(".gitignore", "*.log")
            .file("x.log", "run")
    }

    #[tokio::test]
    async fn matches_are_numbered_and_sorted_by_path() {
        assert_eq!(
            fixture()
                .ok("search_files", json!({"pattern": r"\brun\b"}))
                .await,
            "a/lib.rs\n3:pub fn run() {\n\na/notes.md\n1:run it\n\nb.rs\n2:    run();"
        );
    }

    #[tokio::test]
    async fn path_glob_and_case_narrow_the_search() {
        let fixture = fixture();
        let with = async |input| fixture.ok("search_files", input).await;
        assert_eq!(
            with(json!({"pattern": "RUN", "ignore_case": true, "glob": "*.md"})).await,
            "a/notes.md\n1:run it"
        );
        assert_eq!(
            with(json!({"pattern": "run", "path": "b.rs"})).await,
            "b.rs\n2:    run();"
        );
        assert_eq!(
            with(json!({"pattern": "^run it$", "path": "b.rs"})).await,
            "no matches"
        );
    }

    #[tokio::test]
    async fn context_shows_the_lines_around() {
        assert_eq!(
            fixture()
                .ok(
                    "search_files",
                    json!({"pattern": "fn", "path": "a", "context": 1})
                )
                .await,
            "a/lib.rs\n2-\n3:pub fn run() {\n4-    walk()\n--\n6-\n7:fn walk() {}"
        );
    }

    #[tokio::test]
    async fn files_only_counts() {
        assert_eq!(
            fixture()
                .ok("search_files", json!({"pattern": "fn", "files_only": true}))
                .await,
            "a/lib.rs: 2\nb.rs: 1"
        );
    }

    #[tokio::test]
    async fn many_matches_end_with_what_is_missing() {
        let fixture = fixture().entries_max(1);
        let more = |files, matches| {
            format!(
                "\n… more in {files} files, {matches} matches in all; \
                     a narrower pattern, path or glob shows them"
            )
        };
        assert_eq!(
            fixture.ok("search_files", json!({"pattern": "fn"})).await,
            "a/lib.rs\n3:pub fn run() {".to_owned() + &more(2, 3)
        );
        assert_eq!(
            fixture
                .ok("search_files", json!({"pattern": "fn", "files_only": true}))
                .await,
            "a/lib.rs: 2".to_owned() + &more(1, 3)
        );
    }

    #[tokio::test]
    async fn long_lines_are_cut() {
        let fixture = Fixture::new().file("min.js", &"x".repeat(5_000));
        let text = fixture.ok("search_files", json!({"pattern": "x"})).await;
        assert_eq!(text, format!("min.js\n1:{}…", "x".repeat(400)));
    }

    #[tokio::test]
    async fn a_bad_pattern_is_explained() {
        let error = fixture()
            .error("search_files", json!({"pattern": "(a"}))
            .await;
        assert!(
            error.starts_with("the pattern is not valid: ") && error.contains("unclosed group"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn pipes_and_sockets_are_passed_over() {
        let fixture = fixture();
        assert!(
            std::process::Command::new("mkfifo")
                .arg(fixture.path("pipe"))
                .status()
                .unwrap()
                .success()
        );
        let _socket = std::os::unix::net::UnixListener::bind(fixture.path("socket")).unwrap();
        assert_eq!(
            fixture
                .ok("search_files", json!({"pattern": "^run it"}))
                .await,
            "a/notes.md\n1:run it"
        );
        for path in ["pipe", "socket"] {
            let text = fixture
                .ok("search_files", json!({"pattern": "run", "path": path}))
                .await;
            assert_eq!(text, "no matches\n… 1 files could not be searched");
            for (tool, input) in [
                ("read_file", json!({"path": path})),
                ("write_file", json!({"path": path, "content": "x"})),
                (
                    "edit_file",
                    json!({"path": path, "old_text": "x", "new_text": "y"}),
                ),
            ] {
                let error = fixture.error(tool, input).await;
                assert!(
                    error.contains("not a regular file") || error.contains("No such device"),
                    "{tool}: {error}"
                );
            }
        }
    }

    #[tokio::test]
    async fn links_out_of_the_workspace_are_not_searched() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "run").unwrap();
        let fixture = Fixture::new().link(secret.path().to_str().unwrap(), "link");
        assert_eq!(
            fixture.ok("search_files", json!({"pattern": "run"})).await,
            "no matches"
        );
        assert!(
            fixture
                .error("search_files", json!({"pattern": "run", "path": "link"}))
                .await
                .contains("outside")
        );
    }
}
