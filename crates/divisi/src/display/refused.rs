//! What was requested and refused, and what is missing therefore.

use super::look::{Line, Tone};
use super::number;
use super::progress::label;
use crate::text;
use divisi_core::event::Refusal;
use divisi_core::run::Stage;
use divisi_core::view::{RefusedTool, Status};
use divisi_core::{Content, RunView};
use std::collections::BTreeMap;

/// A refusal with its count, as a sentence.
pub(crate) fn told(refusal: &Refusal, count: u64) -> String {
    let calls = |one, many| number::counted(count, one, many);
    match refusal {
        Refusal::Task { tasks_max } => {
            let tasks = number::count((*tasks_max).into());
            let refused = calls("task was refused", "tasks were refused");
            format!(
                "{refused}: the run has {tasks} tasks, which is as many as it may have (`limits.tasks_max`)"
            )
        }
        Refusal::Call { calls_max } => {
            let calls_max = number::count((*calls_max).into());
            let refused = calls("call was refused", "calls were refused");
            format!(
                "{refused}: the flow has made {calls_max} calls, which is as many as it may make (`maxAgents` in `meta`, or `agents_max`)"
            )
        }
        Refusal::Tokens { total } => {
            let refused = calls("call was refused", "calls were refused");
            format!(
                "{refused}: the {} output tokens that the flow may spend are spent (`--token-budget`)",
                number::count(*total)
            )
        }
        Refusal::Log { logs_max } => {
            let lines = number::count((*logs_max).into());
            format!("lines of the log are dropped: {lines} are kept (`limits.logs_max`)")
        }
        Refusal::Phase { title, phases_max } => {
            let phases = number::count((*phases_max).into());
            format!(
                "phases are left out from `{}` on, and their caps: a run may have {phases}",
                text::line(title)
            )
        }
        Refusal::Unapproved { approval } => {
            let left = calls("task did not run", "tasks did not run");
            format!("{left}: `{}` was not approved", text::line(approval))
        }
        Refusal::Tool {
            tool, permission, ..
        } => {
            let times = calls("call", "calls");
            format!(
                "agents were refused `{}` ({times}): it takes `--allow {permission}`",
                text::line(tool)
            )
        }
    }
}

/// Everything that was refused, thrown without a handler, or missing.
pub(crate) fn lines(view: &RunView) -> Vec<Line> {
    let mut told_all: Vec<String> = view
        .refused
        .iter()
        .map(|(refusal, count)| told(refusal, *count))
        .collect();
    told_all.extend(tools(view));
    told_all.extend(
        view.uncaught
            .iter()
            .map(|(message, count)| uncaught(message, *count)),
    );
    told_all.extend(no_result(view));
    let warning = |told: String| Line::of(Tone::Warn, "warning: ").plain(told);
    told_all.into_iter().map(warning).collect()
}

/// An exception in the flow that had no handler.
pub(crate) fn uncaught(message: &str, count: u32) -> String {
    let others = match count {
        0..=1 => String::new(),
        _ => format!(", and {} more", number::count(u64::from(count) - 1)),
    };
    format!(
        "{} (in a promise that nothing awaits or catches{others})",
        text::line(message)
    )
}

/// Tools that agents called and the run does not permit, with the flag that permits them.
fn tools(view: &RunView) -> Vec<String> {
    let mut tools: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (_, task) in view.current() {
        for RefusedTool {
            tool,
            permission,
            count,
        } in task.refused_tools()
        {
            *tools.entry((permission, tool)).or_default() += u64::from(*count);
        }
    }
    let line = |((permission, tool), count): ((&str, &str), u64)| {
        let calls = number::counted(count, "call", "calls");
        format!(
            "agents were refused `{}` ({calls}): it takes `--allow {permission}`",
            text::line(tool)
        )
    };
    tools.into_iter().map(line).collect()
}

/// Why a run whose flow returned nothing has no result, if tasks ran.
fn no_result(view: &RunView) -> Option<String> {
    let is_over = matches!(view.stage, Stage::Ended(_));
    let nothing = matches!(&view.result, Some(Ok(Content::Inline(json))) if &**json == "null");
    let (last, task) = view.current().next_back()?;
    if !is_over || !nothing {
        return None;
    }
    let refused: u64 = view
        .refused
        .iter()
        .filter(|(refusal, _)| refusal.is_of_work())
        .map(|(_, count)| count)
        .sum();
    // The last task is the probable source of the result if it began after all others had ended.
    let others = || view.current().filter(move |(id, _)| *id != last);
    let was_alone = task.started_at.is_none_or(|began| {
        others().all(|(_, other)| other.ended_at.is_some_and(|ended| ended <= began))
    });
    let name = label(last, task);
    Some(match task.status {
        _ if refused > 0 => {
            let calls = number::counted(
                refused,
                "call of the flow was refused",
                "calls of the flow were refused",
            );
            format!("there is no result, because {calls}")
        }
        Status::Failed if was_alone => {
            let why = view
                .failure_of(task)
                .map(ToString::to_string)
                .unwrap_or_default();
            format!(
                "there is no result, because `{name}` failed: {}",
                text::line(&why)
            )
        }
        Status::Skipped if was_alone => {
            let why = view
                .skipped_because(task)
                .map(|reason| text::line(reason))
                .unwrap_or_default();
            format!("there is no result, because `{name}` was skipped: {why}")
        }
        _ => "there is no result: the flow returned nothing".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::look::{Look, page};
    use super::super::story::Story;
    use super::*;
    use divisi_core::{FailureClass, Input, TaskId};

    const LOOK: Look = Look {
        color: false,
        unicode: true,
        width: 200,
        demo: false,
    };

    fn shown(story: &Story) -> String {
        page(&lines(&story.view()), &LOOK)
    }

    #[test]
    fn every_refusal_names_its_limit_or_what_permits_it() {
        let mut story = Story::begin(1);
        let task = story.task("auth", "", "haiku");
        let refusals = [
            (Refusal::Task { tasks_max: 1_000 }, 3),
            (Refusal::Call { calls_max: 100_000 }, 4_000),
            (Refusal::Tokens { total: 500 }, 1),
            (Refusal::Log { logs_max: 100_000 }, 1),
            (
                Refusal::Phase {
                    title: "Last".into(),
                    phases_max: 1_000,
                },
                1,
            ),
            (
                Refusal::Tool {
                    task,
                    tool: "write_file".into(),
                    permission: "write".into(),
                },
                2,
            ),
            (
                Refusal::Tool {
                    task,
                    tool: "run_command".into(),
                    permission: "run".into(),
                },
                1,
            ),
        ];
        for (refusal, count) in refusals {
            story.input(Input::Refused { refusal, count });
        }
        story.input(Input::Uncaught {
            message: "a.js:2: Error: lost".into(),
            count: 3,
        });
        insta::assert_snapshot!(shown(&story), @r"
        warning: 3 tasks were refused: the run has 1,000 tasks, which is as many as it may have (`limits.tasks_max`)
        warning: 4,000 calls were refused: the flow has made 100,000 calls, which is as many as it may make (`maxAgents` in `meta`, or `agents_max`)
        warning: 1 call was refused: the 500 output tokens that the flow may spend are spent (`--token-budget`)
        warning: lines of the log are dropped: 100,000 are kept (`limits.logs_max`)
        warning: phases are left out from `Last` on, and their caps: a run may have 1,000
        warning: agents were refused `run_command` (1 call): it takes `--allow run`
        warning: agents were refused `write_file` (2 calls): it takes `--allow write`
        warning: a.js:2: Error: lost (in a promise that nothing awaits or catches, and 2 more)
        ");
    }

    #[test]
    fn a_run_without_a_result_says_why() {
        let run = |end: fn(&mut Story, TaskId)| {
            let mut story = Story::begin(1);
            let part = story.task("part", "", "haiku");
            story.at(10).ok(part, "x");
            let gather = story.at(20).task("gather", "", "haiku");
            end(story.at(30), gather);
            story.returns("null");
            shown(&story)
        };
        assert_eq!(
            run(|story, gather| story.fail(gather, FailureClass::Declined, "no")).trim(),
            "warning: there is no result, because `gather` failed: declined: no"
        );
        assert_eq!(
            run(|story, gather| story.ok(gather, "x")).trim(),
            "warning: there is no result: the flow returned nothing"
        );
        assert_eq!(
            run(|story, gather| {
                story.ok(gather, "x");
                story.input(Input::Refused {
                    refusal: Refusal::Task { tasks_max: 2 },
                    count: 1,
                });
            })
            .lines()
            .last(),
            Some("warning: there is no result, because 1 call of the flow was refused")
        );
        let mut story = Story::begin(1);
        let only = story.task("only", "", "haiku");
        story.ok(only, "x");
        story.returns("\"x\"");
        assert_eq!(shown(&story), "");
    }
}
