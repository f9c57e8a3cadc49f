//! `divisi import`: takes runs out of a file, or out of the sessions of agent programs.

use crate::context::Context;
use crate::display::imported::{Report, imported as page};
use crate::display::{Look, json, look};
use crate::exit::Exit;
use crate::flags::Age;
use crate::output;
use anyhow::Context as _;
use divisi_app::sessions::{self, Program};
use divisi_app::settings::Untrusted;
use divisi_app::{Problem, bundle, clock};
use divisi_core::{RunId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Take in an exported run, or what agent programs have already done
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi import k3f9.divisi
  divisi import claude --since 7d    # the sessions of Claude Code, with all their agents
  divisi import codex
  divisi runs --tag imported

A run from a file belongs to this folder from then on. Its tasks, results and costs are those of the file. \
If it is resumed, its agents may only read until `--allow` is given again, and work in this folder; the flow \
is the one in the file. A file that is damaged, or that divisi has not written, is refused.

Each session becomes a run, with its agents as tasks: `divisi runs`, `show`, `cost` and `search` work on it, \
and estimates learn from it. The files state no cost, so replies are priced by divisi's list, also where a \
plan has paid. Importing again adds what is new. `./claude` is a file of that name.")]
pub(crate) struct Args {
    /// The file, or `-` for stdin; or the program: claude, codex
    #[arg(value_name = "FILE|PROGRAM")]
    from: PathBuf,
    /// Only sessions that were at work since then: 2h, 3d, 1w
    #[arg(long, value_name = "AGE")]
    since: Option<Age>,
}

/// A run that was imported.
#[derive(Serialize, JsonSchema)]
pub(super) struct Imported<'a> {
    /// Its id.
    run: &'a RunId,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    match args.from.to_str().and_then(Program::of) {
        Some(program) => of_program(program, args.since, context).await,
        None if args.since.is_some() => Err(Problem::usage(
            "--since is for the sessions of a program: claude, codex",
        )),
        None => of_file(&args.from, context).await,
    }
}

async fn of_file(path: &Path, context: &Context) -> Result<Exit, Problem> {
    let (mut stdin, mut file);
    let lines: &mut dyn BufRead = match path.as_os_str() == "-" {
        true => {
            stdin = std::io::stdin().lock();
            &mut stdin
        }
        false => {
            let failed = || format!("cannot read {}", path.display());
            file = BufReader::new(File::open(path).with_context(failed)?);
            &mut file
        }
    };
    let bundle = bundle::read(lines).map_err(|error| {
        Problem::usage(format!("{}: {error}", path.display()))
            .hint("nothing was imported; export the run again, and copy the file whole")
    })?;
    let store = context.app.store()?;
    let id = bundle.import(&*store, &context.app.place()).await?;
    if context.global.json {
        let text = json::pretty(&Imported { run: &id }).context("cannot write it as JSON")?;
        output::print(&text).context("cannot write to stdout")?;
    }
    output::say(&format!(
        "run {id} is imported; `divisi show {id}` shows it"
    ));
    Ok(Exit::Ok)
}

async fn of_program(
    program: Program,
    since: Option<Age>,
    context: &Context,
) -> Result<Exit, Problem> {
    let settings = context.app.settings(Untrusted::LookedAt)?.settings;
    let folder = program
        .folder(|name| std::env::var(name).ok())
        .ok_or_else(|| Problem::usage("there is no home folder to look for sessions in"))?;
    let now = clock::now();
    let since = since.map_or(Timestamp(0), |age| Timestamp(now.0.saturating_sub(age.0.0)));
    let store = context.app.store()?;
    let place = context.app.place();
    let imported = sessions::import(program, &folder, since, &settings, &*store, &place).await?;
    for (path, why) in &imported.unread {
        context
            .app
            .note(&format!("cannot read {}: {why}", path.display()));
    }
    if imported.passed_over > 0 {
        context.app.note(&format!(
            "{} lines were passed over: they are no JSON, or too long",
            imported.passed_over
        ));
    }
    if imported.left_out > 0 {
        context.app.note(&format!(
            "the {} oldest sessions were left out; `--since` selects others",
            imported.left_out
        ));
    }
    let text = if context.global.json {
        json::pretty(&Report::of(&imported)).context("cannot write the figures")?
    } else {
        let look = Look::of_stdout(false);
        look::page(&page(program, &imported, &look), &look)
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}
