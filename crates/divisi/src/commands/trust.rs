//! `divisi trust`: lets a project's settings decide what only the user may decide.

use crate::context::Context;
use crate::display::{Line, Look, Tone, json, look};
use crate::exit::Exit;
use crate::output;
use crate::terminal;
use crate::text;
use anyhow::Context as _;
use divisi_app::Problem;
use divisi_app::settings::{
    Claim, MCP_FILE, PROJECT_FILE, Project, Standing, TrustedFile, TrustedFiles,
};
use divisi_core::Digest;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Longest file that is compared with what was trusted.
const BYTES_MAX: u64 = 1 << 20;

/// Trust the settings of a project, as they are now
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi trust
  divisi trust ~/work/shop
  divisi trust --revoke
  divisi trust --list

A divisi.toml may choose models, limits and labels without being asked. Where prompts and keys go (a \
`base_url` elsewhere, `key_env`), what runs (`executors`, `mcp`, `allow`), what is opened outside the project \
(`store`, `framing`) and what caps are held by (`prices`) count once you have trusted the file, and so do \
the servers of a .mcp.json. Trust ends when a file changes.")]
pub(crate) struct Args {
    /// The project's folder, or one in it
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Take the trust back
    #[arg(long, conflicts_with = "list")]
    revoke: bool,
    /// List what is trusted
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    if args.list {
        return list(context);
    }
    let folder = context.app.folder().join(&args.folder);
    let folder = folder.canonicalize().unwrap_or(folder);
    match args.revoke {
        true => revoke(&folder, context),
        false => add(&folder, context),
    }
}

fn add(folder: &Path, context: &Context) -> Result<Exit, Problem> {
    let settings = context.app.project(folder)?;
    let files: Vec<Project> = settings
        .into_iter()
        .chain(context.app.mcp_file(folder)?.map(|file| file.project))
        .collect();
    if files.is_empty() {
        let message = format!(
            "there is no {PROJECT_FILE} or {MCP_FILE} in {}",
            folder.display()
        );
        return Err(Problem::usage(message).hint("name the folder of a project, or one in it"));
    }
    let mut forms = vec![];
    for project in &files {
        let state = match (project.claims.is_empty(), project.standing) {
            (true, _) => "says nothing that needs trust",
            (false, Standing::Trusted) => "is trusted already, as it is now. It says:",
            (false, Standing::Changed | Standing::Unknown) => {
                project.trust()?;
                "is trusted now, until it changes. It says:"
            }
        };
        if context.global.json {
            forms.push(Trusted::new(project));
        } else if !context.global.quiet {
            let path = project.path.display().to_string();
            let mut lines = vec![Line::of(Tone::Strong, path).plain(format!(" {state}"))];
            lines.extend(terminal::claims(project));
            let look = Look::of_stderr(false);
            output::say(look::page(&lines, &look).trim_end());
        }
    }
    // One for each file.
    for form in &forms {
        print_json(form)?;
    }
    Ok(Exit::Ok)
}

fn revoke(folder: &Path, context: &Context) -> Result<Exit, Problem> {
    // A file that is invalid or gone can lose its trust as well.
    let project = context.app.project(folder).ok().flatten();
    let path = project.map_or_else(|| folder.join(PROJECT_FILE), |project| project.path);
    let trusted = trusted_files()?;
    let had = trusted.remove(&path)?;
    let mcp_file = context.app.mcp_file(folder).ok().flatten();
    let of_mcp = mcp_file.map_or_else(|| folder.join(MCP_FILE), |file| file.project.path);
    let mut removed = vec![(path, had)];
    if trusted.remove(&of_mcp)? {
        // Named alone if it alone was trusted.
        removed.retain(|(_, had)| *had);
        removed.push((of_mcp, true));
    }
    for (path, had) in &removed {
        if context.global.json {
            print_json(&Revoked {
                file: path,
                trusted: false,
                was_trusted: *had,
            })?;
        } else if !context.global.quiet {
            let state = if *had {
                "is no longer trusted"
            } else {
                "was not trusted"
            };
            output::say(&text::line(&format!("{} {state}", path.display())));
        }
    }
    Ok(Exit::Ok)
}

fn list(context: &Context) -> Result<Exit, Problem> {
    let files = trusted_files()?.list();
    if context.global.json {
        let rows = files.iter().map(|kept| Listed {
            file: &kept.file,
            state: state(kept),
        });
        print_json(&rows.collect::<Vec<_>>())?;
        return Ok(Exit::Ok);
    }
    let look = Look::of_stdout(false);
    let line = |kept: &TrustedFile| {
        let tone = if state(kept) == TRUSTED {
            Tone::Good
        } else {
            Tone::Dim
        };
        Line::of(tone, format!("{:<8}  ", state(kept))).plain(kept.file.display().to_string())
    };
    let lines: Vec<Line> = match files.is_empty() {
        true => vec![Line::of(
            Tone::Dim,
            "no settings of any project are trusted",
        )],
        false => files.iter().map(line).collect(),
    };
    output::print(look::page(&lines, &look).trim_end()).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}

const TRUSTED: &str = "trusted";

fn state(kept: &TrustedFile) -> &'static str {
    match divisi_files::read(&kept.file, BYTES_MAX) {
        Err(_) => "gone",
        Ok(bytes) if Digest::of(&bytes) == kept.digest => TRUSTED,
        Ok(_) => "changed",
    }
}

/// A project's file that is trusted now.
#[derive(Serialize, JsonSchema)]
pub(super) struct Trusted<'a> {
    /// The file.
    file: &'a Path,
    /// Always true.
    trusted: bool,
    /// Its settings that need trust.
    claims: Vec<ClaimForm<'a>>,
}

/// A setting that needs trust.
#[derive(Serialize, JsonSchema)]
struct ClaimForm<'a> {
    /// Its name.
    setting: String,
    /// What it would do, as a phrase.
    would: &'a str,
}

/// A project's file that is not trusted any more.
#[derive(Serialize, JsonSchema)]
pub(super) struct Revoked<'a> {
    /// The file.
    file: &'a Path,
    /// Always false.
    trusted: bool,
    /// Whether it was trusted.
    was_trusted: bool,
}

/// A file that was trusted at some time.
#[derive(Serialize, JsonSchema)]
pub(super) struct Listed<'a> {
    /// The file.
    file: &'a Path,
    /// `trusted`, `changed` since then, or `gone`.
    state: &'static str,
}

impl<'a> Trusted<'a> {
    fn new(project: &'a Project) -> Self {
        let claim = |claim: &'a Claim| ClaimForm {
            setting: claim.name(),
            would: &claim.would,
        };
        Self {
            file: &project.path,
            trusted: true,
            claims: project.claims.iter().map(claim).collect(),
        }
    }
}

fn trusted_files() -> anyhow::Result<TrustedFiles> {
    TrustedFiles::of_user().context("there is no home folder in which trust is remembered")
}

fn print_json(value: &impl Serialize) -> Result<(), Problem> {
    let text = json::pretty(value).context("cannot write it as JSON")?;
    Ok(output::print(&text).context("cannot write to stdout")?)
}
