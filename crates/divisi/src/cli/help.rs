//! The top page of the help.

use super::Cli;
use crate::exit::Exit;
use clap::builder::styling::{AnsiColor, Style, Styles};
use clap::{Command, CommandFactory};
use std::fmt::Write;

/// The commands, in the groups in which they are shown.
const GROUPS: [(&str, &[&str]); 7] = [
    ("Run agents", &["run", "ask", "map", "pipe", "decompose"]),
    ("Look ahead", &["plan", "check", "pick"]),
    ("Go on", &["resume", "rerun", "answer", "cap", "park"]),
    (
        "Look back",
        &["runs", "search", "results", "show", "diff", "watch", "cost"],
    ),
    ("Take over", &["worktrees", "changes", "merge"]),
    ("Keep", &["export", "import", "rm", "gc"]),
    (
        "Set up",
        &[
            "init",
            "doctor",
            "trust",
            "models",
            "settings",
            "schema",
            "types",
            "completions",
            "man",
        ],
    ),
];

/// The four patterns, as they are typed.
const PATTERNS: [(&str, &str, &str); 4] = [
    (
        "fan-out",
        "tasks that do not need each other",
        r#"divisi map "Audit the {} module" auth payment user"#,
    ),
    (
        "scatter-gather",
        "the same, then one synthesis",
        r#"divisi map "Review {}" src/*.rs --gather "Make one plan""#,
    ),
    (
        "pipeline",
        "each step needs the one before",
        r#"divisi pipe "Build" "Test" "Write notes from: {}""#,
    ),
    (
        "decomposition",
        "the tasks are not known yet",
        r#"divisi decompose "Audit the 5 most critical modules""#,
    ),
];

const HEADING: Style = Style::new().bold().underline();
const LITERAL: Style = AnsiColor::Cyan.on_default();

/// The whole command line, ready to parse.
pub(crate) fn command() -> Command {
    let styles = Styles::styled()
        .header(HEADING)
        .usage(HEADING)
        .literal(LITERAL)
        .placeholder(Style::new().dimmed());
    let command = Cli::command().styles(styles);
    let commands = commands(&command);
    command
        .subcommand_required(true)
        .arg_required_else_help(true)
        .before_help(commands)
        .after_help(format!("{}\n\n{}", patterns(), exits()))
        .help_template(format!(
            "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{{before-help}}{HEADING}Options:{HEADING:#}\n{{options}}{{after-help}}"
        ))
}

fn commands(command: &Command) -> String {
    let mut text = String::new();
    for (title, names) in GROUPS {
        heading(&mut text, title);
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            line(&mut text, &format!("{LITERAL}{name:<13}{LITERAL:#}{about}"));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

fn patterns() -> String {
    let mut text = String::new();
    heading(&mut text, "The four patterns");
    for (name, when, example) in PATTERNS {
        line(&mut text, &format!("{name:<16}{when}"));
        line(
            &mut text,
            &format!("{:<16}{LITERAL}{example}{LITERAL:#}", ""),
        );
    }
    line(
        &mut text,
        "In a script all four are a line each: `divisi init` writes one to begin with.",
    );
    text.truncate(text.trim_end().len());
    text
}

fn exits() -> String {
    let mut text = String::new();
    heading(&mut text, "Exit codes");
    for exit in Exit::ALL {
        line(
            &mut text,
            &format!("{:>5}  {}", exit.code(), exit.meaning()),
        );
    }
    text.truncate(text.trim_end().len());
    text
}

fn heading(text: &mut String, title: &str) {
    line_of(text, &format!("{HEADING}{title}:{HEADING:#}"));
}

fn line(text: &mut String, line: &str) {
    line_of(text, &format!("  {line}"));
}

fn line_of(text: &mut String, line: &str) {
    // Nothing can go wrong with writing to a string.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_stands_in_a_group_and_has_a_line() {
        let grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        let mut all: Vec<String> = Cli::command()
            .get_subcommands()
            .map(|c| c.get_name().to_owned())
            .collect();
        all.sort();
        let mut sorted = grouped.clone();
        sorted.sort_unstable();
        assert_eq!(all, sorted);
        for name in grouped {
            assert!(
                Cli::command()
                    .find_subcommand(name)
                    .unwrap()
                    .get_about()
                    .is_some(),
                "{name}"
            );
        }
    }
}
