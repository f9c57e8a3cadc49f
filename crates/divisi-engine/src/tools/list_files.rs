//! The tool that lists files.

use super::path::Root;
use super::walk::{Entry, Filter, walk};
use super::watch::Watch;
use super::{Answer, ToolDefinition, ToolLimits, file, input};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const NAME: &str = "list_files";

pub(super) fn definition() -> ToolDefinition {
    ToolDefinition {
        name: NAME,
        description:
            "List the files of the workspace, sorted by path. Files that git ignores are left \
                      out unless `path` is inside an ignored folder."
                .into(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "glob": {
                    "type": "string",
                    "description": "Which files, such as `*.rs` (by name, in any folder) or `src/**/*.{js,ts}` (by path). All if absent."
                },
                "path": { "type": "string", "description": "The folder to look in. The whole workspace if absent." },
                "depth": {
                    "type": "integer", "minimum": 1,
                    "description": "How many levels of folders to go down; 1 shows one folder. Folders where the list stops are shown with a slash at the end. All levels if absent."
                }
            },
            "additionalProperties": false
        }),
    }
}

#[derive(Deserialize)]
struct Input {
    glob: Option<String>,
    path: Option<String>,
    depth: Option<usize>,
}

pub(super) fn run(root: &Root, limits: &ToolLimits, input: Value, watch: &Watch) -> Answer {
    let Input { glob, path, depth } = input::read(input)?;
    let start = file::locate_existing(root, path.as_deref().unwrap_or("."), watch)?;
    let filter = Filter::new(glob.as_deref(), &start)?;
    let found = walk(root, &start, depth, watch)?;

    let bottom = depth.map(|depth| start.path().components().count() + depth);
    let is_shown = |entry: &&Entry| match entry.is_folder {
        true => glob.is_none() && Some(entry.place.path().components().count()) == bottom,
        false => filter.fits(&entry.place),
    };
    let shown: Vec<_> = found.entries.iter().filter(is_shown).collect();
    if shown.is_empty() {
        return Ok(format!("no files{}", found.remarks));
    }
    let mut text = String::new();
    for entry in shown.iter().take(limits.entries_max) {
        text.push_str(&format!(
            "{}{}\n",
            entry.place.display(),
            if entry.is_folder { "/" } else { "" }
        ));
    }
    if shown.len() > limits.entries_max {
        let more = shown.len() - limits.entries_max;
        text.push_str(&format!(
            "… {more} more; a glob, a path or a depth shows less at a time"
        ));
    }
    Ok(text.trim_end().to_owned() + &found.remarks)
}

#[cfg(test)]
mod tests {
    use crate::tools::fixture::Fixture;
    use serde_json::json;

    fn repository() -> Fixture {
        Fixture::new()
            .file("b.rs", "")
            .file("a/lib.rs", "")
            .file("a/deep/mod.rs", "")
            .file("a/deep/notes.md", "")
            .file(".github/ci.yml", "")
            .file(".git/config", "")
            .file(".divisi/worktrees/x/b.rs", "")
            .file(".gitignore", "target/\n*.log\n")
            .file("target/debug/out.rs", "")
            .file("a/x.log", "")
    }

    #[tokio::test]
    async fn files_are_sorted_and_ignored_ones_left_out() {
        assert_eq!(
            repository().ok("list_files", json!({})).await,
            ".github/ci.yml\n.gitignore\na/deep/mod.rs\na/deep/notes.md\na/lib.rs\nb.rs"
        );
    }

    #[tokio::test]
    async fn ignore_rules_hold_without_a_repository_and_below_the_root() {
        let fixture = Fixture::new()
            .file(".gitignore", "*.log")
            .file("a/x.log", "")
            .file("a/y", "");
        assert_eq!(fixture.ok("list_files", json!({"path": "a"})).await, "a/y");
    }

    #[tokio::test]
    async fn ignored_folders_can_be_looked_into_on_purpose() {
        assert_eq!(
            repository()
                .ok("list_files", json!({"path": "target"}))
                .await,
            "target/debug/out.rs"
        );
    }

    #[tokio::test]
    async fn globs_choose_by_name_or_by_path() {
        let fixture = repository();
        let with = async |glob: &str, path: &str| {
            fixture
                .ok("list_files", json!({"glob": glob, "path": path}))
                .await
        };
        assert_eq!(with("*.rs", ".").await, "a/deep/mod.rs\na/lib.rs\nb.rs");
        assert_eq!(with("a/*.rs", ".").await, "a/lib.rs");
        assert_eq!(
            with("./a/**/*.{rs,md}", ".").await,
            "a/deep/mod.rs\na/deep/notes.md\na/lib.rs"
        );
        assert_eq!(with("deep/*.rs", "a").await, "a/deep/mod.rs");
        assert_eq!(with("a/deep/*.rs", "a").await, "a/deep/mod.rs");
        assert_eq!(with("*.py", ".").await, "no files");
        let error = fixture.error("list_files", json!({"glob": "a{"})).await;
        assert!(error.starts_with("the glob is not valid: "), "{error}");
    }

    #[tokio::test]
    async fn depth_shows_the_folders_where_it_stops() {
        let fixture = repository();
        assert_eq!(
            fixture.ok("list_files", json!({"depth": 1})).await,
            ".github/\n.gitignore\na/\nb.rs"
        );
        assert_eq!(
            fixture
                .ok("list_files", json!({"depth": 1, "path": "a"}))
                .await,
            "a/deep/\na/lib.rs"
        );
    }

    #[tokio::test]
    async fn a_long_list_ends_with_what_is_missing() {
        let fixture = (0..12)
            .fold(Fixture::new(), |f, i| f.file(&format!("{i:02}"), ""))
            .entries_max(10);
        let text = fixture.ok("list_files", json!({})).await;
        assert!(
            text.ends_with("09\n… 2 more; a glob, a path or a depth shows less at a time"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_or_outside_is_an_error() {
        let fixture = repository();
        assert_eq!(
            fixture.error("list_files", json!({"path": "b"})).await,
            "`b` does not exist; did you mean `b.rs`?"
        );
        assert!(
            fixture
                .error("list_files", json!({"path": ".."}))
                .await
                .contains("outside")
        );
    }

    #[tokio::test]
    async fn links_are_neither_listed_nor_followed() {
        let fixture = Fixture::new()
            .file("a", "")
            .link("/etc", "etc")
            .link("a", "b");
        assert_eq!(fixture.ok("list_files", json!({})).await, "a");
    }

    #[tokio::test]
    async fn patterns_of_a_repository_are_bounded() {
        let hostile = format!("{}a{}\n*.log\n", "{".repeat(20_000), "}".repeat(20_000));
        let fixture = Fixture::new()
            .file(".gitignore", &hostile)
            .file("a", "")
            .file("x.log", "");
        assert_eq!(fixture.ok("list_files", json!({})).await, ".gitignore\na");
    }

    #[tokio::test]
    async fn the_nearest_pattern_decides_and_only_regular_files_hold_any() {
        let fixture = Fixture::new()
            .file(".git/info/exclude", "private\n")
            .file(".gitignore", "\u{feff}*.log\n/top\n")
            .file("private", "")
            .file("top", "")
            .file("a/.gitignore", "!keep.log\n")
            .file("a/keep.log", "")
            .file("a/drop.log", "")
            .file("a/top", "")
            .file("b/keep.log", "")
            .file("b/x", "");
        let pipe = fixture.path("b/.gitignore");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(
            fixture.ok("list_files", json!({})).await,
            ".gitignore\na/.gitignore\na/keep.log\na/top\nb/x"
        );
        assert_eq!(fixture.ok("list_files", json!({"path": "b"})).await, "b/x");
    }

    #[tokio::test]
    async fn very_deep_folders_are_said_to_be_left_out() {
        let fixture = Fixture::new()
            .file(&format!("{}x", "a/".repeat(200)), "")
            .file("b", "");
        assert_eq!(
            fixture.ok("list_files", json!({})).await,
            "b\n… 1 entries could not be read"
        );
    }

    #[tokio::test]
    async fn a_list_can_be_stopped() {
        let fixture = Fixture::new().file("a", "");
        fixture.cancel.cancel();
        assert_eq!(fixture.error("list_files", json!({})).await, "cancelled");
        assert_eq!(
            fixture.error("search_files", json!({"pattern": "a"})).await,
            "cancelled"
        );
    }

    #[tokio::test]
    async fn a_worktree_inside_an_ignored_folder_lists_its_files() {
        let fixture = Fixture::new()
            .file(".git/config", "")
            .file(".gitignore", ".divisi/**\n*.rs\n")
            .file(".divisi/worktrees/x/.git", "gitdir: elsewhere")
            .file(".divisi/worktrees/x/a.rs", "");
        let worktree = fixture.at(".divisi/worktrees/x");
        assert_eq!(worktree.ok("list_files", json!({})).await, "a.rs");
    }
}
