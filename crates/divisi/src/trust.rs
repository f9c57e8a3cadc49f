//! Asks the user whether a project's settings are to be trusted.

use crate::context::Context;
use crate::display::{Line, Look, Tone, look, text};
use crate::output;
use crate::problem::Problem;
use crate::settings::{self, Claim, Leaf, Loaded, Project, SettingsError, Standing, TrustedFiles, Untrusted};
use anyhow::Context as _;
use std::path::Path;

/// Settings that are shown; a file with more is read as a file.
const SHOWN_MAX: usize = 20;

/// Columns that one of them may take.
const WHOLE_COLUMNS_MAX: usize = 2_000;

/// The settings for something that is carried out in `workspace`.
///
/// Where the project's file needs trust that it does not have, the user is asked
/// if there is a terminal; otherwise the command to type is the error.
pub(crate) fn settings(context: &Context, workspace: &Path, flags: &[Leaf]) -> Result<Loaded, Problem> {
    let load = |untrusted| settings::load(&context.environment, workspace, flags.to_vec(), untrusted);
    loop {
        let project = match load(Untrusted::Refused) {
            Err(SettingsError::Untrusted(project)) => project,
            loaded => return Ok(loaded?),
        };
        if !can_ask(context) {
            return Err(SettingsError::Untrusted(project).into());
        }
        match ask(&project)? {
            // What was trusted is what was shown: if the file has changed meanwhile, it asks again.
            Answer::Yes => add(&project)?,
            Answer::Without => return Ok(load(Untrusted::LeftOut)?),
            Answer::No => return Err(SettingsError::Untrusted(project).into()),
        }
    }
}

/// Trusts the file as it was read.
pub(crate) fn add(project: &Project) -> Result<(), Problem> {
    let trusted = TrustedFiles::of_user().context("there is no home folder to remember it in")?;
    let failed = || format!("cannot trust {}", project.path.display());
    Ok(trusted.add(&project.path, project.digest).with_context(failed)?)
}

/// Says once what of a project's file does not count for want of trust.
pub(crate) fn note(project: Option<&Project>, context: &Context, untrusted: Untrusted) {
    let Some(project) = project.filter(|project| !project.untrusted().is_empty()) else { return };
    if context.global.quiet {
        return;
    }
    let path = project.path.display();
    let asked: Vec<String> =
        project.untrusted().iter().filter(|claim| claim.asks()).map(Claim::name).collect();
    let note = match untrusted {
        Untrusted::LookedAt if !asked.is_empty() => {
            format!("note: {path} is not trusted yet: a run asks about {} first", asked.join(", "))
        }
        Untrusted::LookedAt | Untrusted::LeftOut | Untrusted::Refused => {
            let names: Vec<String> = project.untrusted().iter().map(Claim::name).collect();
            format!("note: {path} is not trusted, so this of it does not count: {}", names.join(", "))
        }
    };
    output::say(&text::line(&note));
}

/// What a file of settings would decide: every setting as it stands there, and what it does.
pub(crate) fn claims(project: &Project) -> Vec<Line> {
    let lines = |claim: &Claim| {
        let whole = text::cut(&text::flat(&claim.whole), WHOLE_COLUMNS_MAX, " … and more: read the file");
        [Line::new().plain(format!("  {whole}")), Line::of(Tone::Warn, format!("    {}", claim.would))]
    };
    let mut lines: Vec<Line> = project.claims.iter().take(SHOWN_MAX).flat_map(lines).collect();
    lines.extend(more(project).map(|more| Line::of(Tone::Warn, format!("  {more}"))));
    lines
}

/// What a file of settings wants, and how to let it, or do without.
pub(crate) fn hints(project: &Project) -> Vec<String> {
    let changed =
        (project.standing == Standing::Changed).then(|| "it has changed since you trusted it".into());
    let wants = project.claims.iter().take(SHOWN_MAX);
    let wants = wants.map(|claim| format!("`{}` {}", claim.name(), claim.would)).chain(more(project));
    let then = [
        format!("if that is what you want: {}", command(project)),
        "or add `--untrusted` to run without these settings".to_owned(),
    ];
    changed.into_iter().chain(wants).chain(then).collect()
}

/// What is said of settings beyond those that are shown.
fn more(project: &Project) -> Option<String> {
    let more = project.claims.len().saturating_sub(SHOWN_MAX);
    (more > 0).then(|| format!("and {more} more settings: read the file"))
}

/// The command that trusts a project's file, as it is typed in any folder.
pub(crate) fn command(project: &Project) -> String {
    format!("divisi trust {}", quoted(&project.folder().display().to_string()))
}

#[derive(Clone, Copy)]
enum Answer {
    Yes,
    No,
    Without,
}

fn can_ask(context: &Context) -> bool {
    output::can_ask() && !context.global.json && !context.global.quiet
}

fn ask(project: &Project) -> Result<Answer, Problem> {
    let look = Look::of_stderr(false);
    let state = match project.standing {
        Standing::Changed => "has changed since you trusted it. It says:",
        Standing::Unknown | Standing::Trusted => "is not trusted yet. It says:",
    };
    let mut lines =
        vec![Line::of(Tone::Strong, project.path.display().to_string()).plain(format!(" {state}"))];
    lines.extend(claims(project));
    output::say(look::page(&lines, &look).trim_end());
    let question = "trust it until it changes (yes), run without these settings (without), or stop (no)?";
    let answers = [("yes", Answer::Yes), ("without", Answer::Without), ("no", Answer::No)];
    Ok(output::ask(question, &answers).context("cannot read the answer")?.unwrap_or(Answer::No))
}

/// The word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let is_plain =
        |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+' | '~' | '@' | ',');
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_folder_is_one_word_to_the_shell() {
        assert_eq!(quoted("/home/me/a-b_1.x"), "/home/me/a-b_1.x");
        assert_eq!(quoted("/tmp/a b"), "'/tmp/a b'");
        assert_eq!(quoted("it's $(x)"), r"'it'\''s $(x)'");
    }
}
