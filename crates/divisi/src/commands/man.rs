//! `divisi man`: manual pages.

use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;
use divisi_app::Problem;
use std::io::{self, Write};
use std::path::PathBuf;

/// Write the manual pages
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi man | man -l -
  divisi man -o ~/.local/share/man/man1")]
pub(crate) struct Args {
    /// The folder for all pages; without one the main page goes to stdout
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, mut line: Command) -> Result<Exit, Problem> {
    line.build();
    match &args.output {
        Some(folder) => {
            let failed = || format!("cannot write the manual pages to {}", folder.display());
            std::fs::create_dir_all(folder).with_context(failed)?;
            let commands = line
                .get_subcommands()
                .filter(|command| command.get_name() != "help");
            for command in std::iter::once(&line).chain(commands) {
                let man = Man::new(command.clone());
                let mut page = vec![];
                write(command, &man, &mut page).with_context(failed)?;
                std::fs::write(folder.join(man.get_filename()), page).with_context(failed)?;
            }
        }
        None => {
            let mut page = vec![];
            write(&line, &Man::new(line.clone()), &mut page)
                .context("cannot make the manual page")?;
            output::print(String::from_utf8_lossy(&page).trim_end())
                .context("cannot write to stdout")?;
        }
    }
    Ok(Exit::Ok)
}

/// Writes the page of a command.
fn write(command: &Command, man: &Man, page: &mut dyn Write) -> io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    let mut extra = vec![];
    man.render_extra_section(&mut extra)?;
    page.write_all(unfilled(&String::from_utf8_lossy(&extra)).as_bytes())?;
    match command.get_version().or(command.get_long_version()) {
        Some(_) => man.render_version_section(page),
        None => Ok(()),
    }
}

/// The part after the options, in which examples and tables keep their lines: a command that is
/// broken over two lines cannot be copied.
fn unfilled(extra: &str) -> String {
    let Some(text) = extra.strip_prefix(".SH EXTRA\n") else {
        return extra.to_owned();
    };
    let has_lines = |block: &str| block.lines().any(|line| line.starts_with("  "));
    let block = |block: &str| match has_lines(block) {
        true => format!(".nf\n{block}\n.fi"),
        false => block.to_owned(),
    };
    let (heading, text) = match text.strip_prefix("Examples:\n") {
        Some(rest) => ("EXAMPLES", rest),
        None => ("NOTES", text),
    };
    let blocks: Vec<String> = text.trim_end().split("\n\n").map(block).collect();
    format!(".SH {heading}\n{}\n", blocks.join("\n.PP\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_lines_and_sentences_are_filled() {
        let extra = ".SH EXTRA\nExamples:\n  divisi a\n  divisi b\n\nA sentence.\n";
        assert_eq!(
            unfilled(extra),
            ".SH EXAMPLES\n.nf\n  divisi a\n  divisi b\n.fi\n.PP\nA sentence.\n"
        );
        assert_eq!(unfilled(""), "");
    }

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let line = crate::cli::command();
        let names: Vec<String> = line
            .get_subcommands()
            .map(|command| format!("divisi-{}.1", command.get_name()))
            .collect();
        let args = Args {
            output: Some(folder.path().to_owned()),
        };
        run(&args, line).unwrap();
        for name in names {
            let page = std::fs::read_to_string(folder.path().join(&name)).unwrap();
            assert!(page.contains(".SH OPTIONS"), "{name}: {page}");
        }
        assert!(folder.path().join("divisi.1").exists());
    }
}
