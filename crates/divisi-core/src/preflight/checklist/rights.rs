//! Tools and rights that tasks need and the run does not give them.
//!
//! What a prompt needs is read from its words, so only plain requests count, and none that the same
//! sentence forbids.

use super::{Finding, Flow};
use crate::preflight::{Assigned, Rights};
use crate::task::Isolation;
use std::collections::{BTreeMap, BTreeSet};

/// Requests for commands.
const COMMANDS: [&str; 24] = [
    "run the test",
    "run tests",
    "run all tests",
    "run the full test",
    "run the build",
    "run the linter",
    "run the command",
    "run npm",
    "run pnpm",
    "run yarn",
    "run cargo",
    "run pytest",
    "run make",
    "run git",
    "run `",
    "execute the command",
    "git commit",
    "git push",
    "git diff",
    "git log",
    "gh pr ",
    "cargo test",
    "npm test",
    "use bash",
];

/// Requests for changes of files.
const CHANGES: [&str; 14] = [
    "edit the file",
    "edit files",
    "create the file",
    "create a file",
    "modify the file",
    "update the file",
    "write the file",
    "apply the fix",
    "apply the change",
    "make the change",
    "implement the fix",
    "write the report to",
    "save it to",
    "write it to",
];

/// Words of a prompt that forbids changes.
const READ_ONLY: [&str; 12] = [
    "read-only",
    "read only",
    "not edit",
    "n't edit",
    "not modify",
    "n't modify",
    "no edits",
    "not change",
    "n't change",
    "never edit",
    "not write",
    "n't write",
];

/// Requests for the web.
const WEB: [&str; 8] = [
    "search the web",
    "web search",
    "websearch",
    "webfetch",
    "search online",
    "search the internet",
    "browse the web",
    "on the internet",
];

/// Words that forbid what follows in their sentence.
const FORBIDDING: [&str; 7] = [
    "not ",
    "n't ",
    "never ",
    "without ",
    "no need",
    "instead of ",
    "cannot ",
];

/// Most writers compared with each other; one finding names them all anyway.
const WRITERS_MAX: usize = 500;

/// Characters quoted after the words of a request.
const QUOTED_CHARS_MAX: usize = 24;

pub(super) fn findings(flow: &Flow<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = worktrees(flow).into_iter().collect();
    findings.extend(writers(flow));
    findings.extend(lacking(flow));
    findings.extend(unknown(flow));
    let withheld = |right: fn(&Rights) -> bool| {
        move |assigned: &Assigned| right(&assigned.rights) && asks_models(assigned)
    };
    findings.extend(asked(
        flow,
        withheld(|rights| rights.run_withheld),
        |prompt| request(prompt, &COMMANDS),
        "runs commands",
        "allow commands with `--allow run`, if the prompts need them",
    ));
    findings.extend(asked(
        flow,
        withheld(|rights| rights.write_withheld),
        change,
        "changes files",
        "allow changes with `--allow write`, if the prompts need them",
    ));
    findings.extend(asked(
        flow,
        |assigned| {
            let Rights {
                lacks,
                unknown_tools,
                ..
            } = &assigned.rights;
            asks_models(assigned) && lacks.is_empty() && unknown_tools.is_empty()
        },
        |prompt| request(prompt, &WEB),
        "searches the web",
        "let an executor or an MCP server with such a tool do it, or give the task what it would find",
    ));
    findings
}

/// Whether divisi's own tools are all that the task has: a program has tools of its own.
fn asks_models(assigned: &Assigned) -> bool {
    !assigned.is_program && !assigned.rungs.is_empty()
}

/// The tasks whose prompt makes a request for which they have no tool, as one finding.
fn asked(
    flow: &Flow<'_>,
    is_without: impl Fn(&Assigned) -> bool,
    request: impl Fn(&str) -> Option<String>,
    does: &str,
    change: &str,
) -> Option<Finding> {
    let mut places = vec![];
    let mut words = None;
    for (place, node) in flow.tasks() {
        let is_without = node.assigned.as_ref().is_ok_and(&is_without);
        if is_without && let Some(found) = request(&node.task.prompt) {
            words.get_or_insert(found);
            places.push(place);
        }
    }
    let first = *places.first()?;
    let quoted = words.unwrap_or_default();
    let what = format!(
        "no tool of the run {does}, as the {} of {} {} (“{quoted}”)",
        if places.len() == 1 {
            "prompt"
        } else {
            "prompts"
        },
        flow.names(&places),
        if places.len() == 1 { "asks" } else { "ask" },
    );
    Some(Finding::warning(
        flow.node(first).site.clone(),
        what,
        change,
    ))
}

/// The first of these requests in a prompt, with the words that follow it.
fn request(prompt: &str, requests: &[&str]) -> Option<String> {
    // The same length as the prompt, so that places agree.
    let lower = prompt.to_ascii_lowercase();
    let found = requests.iter().filter_map(|words| {
        let at = lower.find(words)?;
        (!is_forbidden(&lower[..at])).then_some((at, *words))
    });
    let (at, words) = found.min()?;
    let rest = &prompt[at + words.len()..];
    let rest: String = rest
        .chars()
        .take_while(|c| !matches!(c, '\n' | '.' | ',' | ';' | ')'))
        .take(QUOTED_CHARS_MAX)
        .collect();
    Some(format!(
        "{}{}",
        &prompt[at..at + words.len()],
        rest.trim_end()
    ))
}

/// Whether the sentence that ends here forbids what follows.
fn is_forbidden(before: &str) -> bool {
    let sentence = before
        .rsplit(['.', '\n', ';', '!', '?', ':'])
        .next()
        .unwrap_or(before);
    FORBIDDING.iter().any(|word| sentence.contains(word))
}

/// A request for changes, in a prompt that does not forbid them.
fn change(prompt: &str) -> Option<String> {
    let lower = prompt.to_lowercase();
    match READ_ONLY.iter().any(|words| lower.contains(words)) {
        true => None,
        false => request(prompt, &CHANGES),
    }
}

/// Tools that a definition or a task names and divisi does not have.
fn lacking(flow: &Flow<'_>) -> Vec<Finding> {
    let mut lacking: BTreeMap<&[std::sync::Arc<str>], Vec<usize>> = BTreeMap::new();
    for (place, node) in flow.tasks() {
        if let Ok(assigned) = &node.assigned
            && asks_models(assigned)
            && !assigned.rights.lacks.is_empty()
        {
            lacking
                .entry(&assigned.rights.lacks)
                .or_default()
                .push(place);
        }
    }
    let finding = |(tools, places): (&[std::sync::Arc<str>], Vec<usize>)| {
        let tools: Vec<String> = tools.iter().map(|tool| format!("`{tool}`")).collect();
        let what = format!(
            "{} {} for {}, which divisi does not have: {} without",
            flow.names(&places),
            super::verb(places.len(), "asks", "ask"),
            tools.join(", "),
            super::verb(places.len(), "it works", "they work"),
        );
        let change = match tools.iter().any(|tool| tool.contains("`mcp__")) {
            true => {
                "name the server under [mcp.NAME] or in .mcp.json, and permit it with `--allow mcp:NAME`"
            }
            false => {
                "let an executor or an MCP server with these tools do it, or take them out of its definition"
            }
        };
        Finding::warning(flow.node(places[0]).site.clone(), what, change)
    };
    lacking.into_iter().map(finding).collect()
}

/// Tools of MCP servers, which are not started to look ahead.
fn unknown(flow: &Flow<'_>) -> Option<Finding> {
    let mut tools: BTreeSet<&str> = BTreeSet::new();
    let mut places = vec![];
    for (place, node) in flow.tasks() {
        if let Ok(assigned) = &node.assigned
            && asks_models(assigned)
            && !assigned.rights.unknown_tools.is_empty()
        {
            tools.extend(assigned.rights.unknown_tools.iter().map(|tool| &**tool));
            places.push(place);
        }
    }
    let first = *places.first()?;
    let tools: Vec<String> = tools.iter().map(|tool| format!("`{tool}`")).collect();
    let what = format!(
        "{} {} for {}, which is known only once its MCP server has started: a length is assumed for \
         it, and a name that there is not is not noticed",
        flow.names(&places),
        super::verb(places.len(), "asks", "ask"),
        tools.join(", "),
    );
    let change =
        "name single tools (`mcp__SERVER__TOOL`), so that each request carries fewer definitions";
    Some(Finding::warning(
        flow.node(first).site.clone(),
        what,
        change,
    ))
}

/// Tasks that need a git repository where there is none.
fn worktrees(flow: &Flow<'_>) -> Option<Finding> {
    if flow.settings.has_repository != Some(false) {
        return None;
    }
    let wants = |node: &crate::preflight::Node| {
        let by_agent = node
            .assigned
            .as_ref()
            .is_ok_and(|assigned| assigned.rights.worktree);
        by_agent || node.task.isolation == Isolation::Worktree
    };
    let places: Vec<usize> = flow
        .tasks()
        .filter(|(_, node)| wants(node))
        .map(|(place, _)| place)
        .collect();
    let first = *places.first()?;
    let what = format!(
        "{} {} a worktree, and there is no git repository here",
        flow.names(&places),
        super::verb(places.len(), "needs", "need"),
    );
    let change = "run `git init` and commit, or leave out `isolation: 'worktree'`";
    Some(Finding::wrong(flow.node(first).site.clone(), what, change))
}

/// Agents that change files of one folder at the same time.
fn writers(flow: &Flow<'_>) -> Option<Finding> {
    if flow.settings.bounds.in_flight_max < 2 {
        return None;
    }
    let writers: Vec<usize> = flow
        .tasks()
        .filter(|(place, _)| is_shared_writer(flow, *place))
        .map(|(place, _)| place)
        .take(WRITERS_MAX)
        .collect();
    let before: Vec<BTreeSet<usize>> = writers.iter().map(|&it| all_before(flow, it)).collect();
    let at_once = |one: usize, other: usize| {
        one != other
            && !before[one].contains(&writers[other])
            && !before[other].contains(&writers[one])
    };
    let places: Vec<usize> = (0..writers.len())
        .filter(|&one| (0..writers.len()).any(|other| at_once(one, other)))
        .map(|one| writers[one])
        .collect();
    let first = *places.first()?;
    let what = format!(
        "{} may change the same files at the same time",
        flow.names(&places)
    );
    let change = match flow.settings.has_repository {
        Some(false) => {
            "let them work one after the other, or on a list of files that do not overlap"
        }
        _ => {
            "give each a worktree with `isolation: 'worktree'`, which `divisi merge` merges, or let none touch what another does"
        }
    };
    Some(Finding::warning(
        flow.node(first).site.clone(),
        what,
        change,
    ))
}

/// Whether an agent is meant to change files and may, in the folder that others work in. One that
/// only may is no finding: rights are those of the whole run.
fn is_shared_writer(flow: &Flow<'_>, place: usize) -> bool {
    let node = flow.node(place);
    let Ok(assigned) = &node.assigned else {
        return false;
    };
    let rights = &assigned.rights;
    let is_apart = rights.worktree || node.task.isolation == Isolation::Worktree;
    let may = !rights.write_withheld
        && !assigned.rungs.is_empty()
        && match assigned.is_program {
            true => assigned.writes,
            false => assigned.has_tools && flow.has_writing_tools(node),
        };
    let kind = flow.settings.kinds.get(&assigned.kind);
    let is_meant = kind.is_some_and(|kind| kind.writes) || change(&node.task.prompt).is_some();
    may && is_meant && !is_apart
}

/// All tasks that end before one is requested.
fn all_before(flow: &Flow<'_>, place: usize) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    let mut open = flow.node(place).waits.clone();
    while let Some(place) = open.pop() {
        if all.insert(place) {
            open.extend(&flow.node(place).waits);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_requests_are_found_and_forbidden_ones_are_not() {
        let commands = |prompt: &str| request(prompt, &COMMANDS).unwrap_or_default();
        assert_eq!(
            commands("Fix it, then Run the tests in src."),
            "Run the tests in src"
        );
        assert_eq!(commands("Do not run the tests."), "");
        assert_eq!(commands("You cannot run git. Read instead."), "");
        assert_eq!(
            commands("Never edit. Run `make` at the end"),
            "Run `make` at the end"
        );
        assert_eq!(request("See what the web says", &WEB), None);
    }

    #[test]
    fn a_task_that_may_only_read_asks_for_no_changes() {
        let edit = "Edit the files in src";
        assert_eq!(change(edit), Some(edit.to_owned()));
        assert_eq!(change("Edit the file? No, this is read-only"), None);
        assert_eq!(change("Say how to mend it"), None);
    }
}
