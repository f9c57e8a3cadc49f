//! `divisi init`: a settings file and a flow to begin with.

use crate::context::Context;
use crate::display::json;
use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use divisi_app::Problem;
use divisi_app::settings::PROJECT_FILE;
use schemars::JsonSchema;
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// What is written, by its path.
const FILES: [(&str, &str); 2] = [
    (PROJECT_FILE, include_str!("init/divisi.toml")),
    ("flows/audit.js", include_str!("init/audit.js")),
];

const NEXT: &str = "
next:
  divisi run flows/audit.js --demo     see it run, on scripted answers
  divisi doctor                        see which models there are
  divisi run flows/audit.js            run it";

/// Write a settings file and an example flow into this folder
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Overwrite existing files
    #[arg(long)]
    force: bool,
}

/// The files that were written.
#[derive(Serialize, JsonSchema)]
pub(super) struct Written {
    /// Their paths in this folder.
    written: [&'static str; 2],
}

pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let folder = context.app.folder();
    let there: Vec<&str> = FILES
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| folder.join(path).exists())
        .collect();
    if !there.is_empty() && !args.force {
        return Err(Problem::usage(format!(
            "there is {} already; nothing was written",
            there.join(" and ")
        ))
        .hint("add `--force` to write over it"));
    }
    let written = FILES
        .into_iter()
        .map(|(path, text)| prepare(folder, path, text).map(|file| (path, file)));
    for (path, file) in written.collect::<Result<Vec<_>, _>>()? {
        file.persist(folder.join(path))
            .with_context(|| format!("cannot write {path}"))?;
        if !context.global.quiet {
            output::say(&format!("wrote {path}"));
        }
    }
    if context.global.json {
        let written = Written {
            written: FILES.map(|(path, _)| path),
        };
        let text = json::pretty(&written).context("cannot write it as JSON")?;
        output::print(&text).context("cannot write to stdout")?;
    }
    if !context.global.quiet {
        output::say(NEXT.trim_end());
    }
    Ok(Exit::Ok)
}

/// Writes the text to a temporary file beside its place, so that the file appears whole or not at
/// all.
fn prepare(folder: &Path, path: &str, text: &str) -> anyhow::Result<NamedTempFile> {
    let failed = || format!("cannot write {path}");
    let place = folder.join(path);
    let parent = place.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).with_context(failed)?;
    let mut file = NamedTempFile::new_in(parent).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_app::settings::{Settings, reference};
    use divisi_script::Script;

    #[test]
    fn the_settings_file_says_the_defaults_once_its_comments_are_taken_away() {
        let (_, text) = FILES[0];
        toml::from_str::<Settings>(text).unwrap();
        let uncommented: Vec<&str> = text
            .lines()
            .map(|line| line.strip_prefix("# ").unwrap_or(line))
            .collect();
        let settings = uncommented
            .iter()
            .skip_while(|line| !line.starts_with("model ="));
        let settings: Vec<&str> = settings.copied().collect();
        let settings = settings.join("\n");
        toml::from_str::<Settings>(&settings).unwrap();
        let schema = jsonschema::validator_for(&reference::schema()).unwrap();
        for text in [text, &settings] {
            let file: serde_json::Value = toml::from_str(text).unwrap();
            assert_eq!(
                schema
                    .iter_errors(&file)
                    .map(|error| error.to_string())
                    .collect::<Vec<_>>(),
                [""; 0]
            );
        }
    }

    #[test]
    fn the_settings_file_names_the_schema_for_editors() {
        let (_, text) = FILES[0];
        assert_eq!(
            text.lines().next(),
            Some(&*format!("#:schema {}", reference::SCHEMA_URL))
        );
    }

    #[test]
    fn the_flow_can_be_read() {
        let (path, text) = FILES[1];
        assert_eq!(Script::parse(path, text).unwrap().warnings(), []);
    }
}
