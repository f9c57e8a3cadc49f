//! What the parts of a flow are called.

use super::only;
use crate::Tier::{Haiku, Sonnet};
use crate::event::GroupKind;
use crate::preflight::checklist::fixture::Builder;
use crate::preflight::checklist::{KindRule, Question, Settings, Verdict, checklist};
use crate::preflight::{Guess, Remark, Rights, Site, Unreached, Use};
use insta::assert_snapshot;

fn pattern(builder: &Builder) -> String {
    builder.checked().items[0].evidence.join("\n")
}

#[test]
fn patterns_have_names() {
    let mut one = Builder::new();
    one.task("a", "read", Haiku, &[]);
    assert_snapshot!(pattern(&one), @"single task `a`");

    let mut steps = Builder::new();
    for (place, name) in ["build", "test", "deploy"].into_iter().enumerate() {
        let waits: Vec<usize> = place.checked_sub(1).into_iter().collect();
        steps.task(name, "feature", Sonnet, &waits).task.phase = Some(name.into());
    }
    assert_snapshot!(pattern(&steps), @"build → test → deploy: sequence of 3");

    let mut lines = Builder::new();
    let group = lines.group(GroupKind::Pipeline, 4, None);
    for item in 0..4 {
        lines.task("read", "read", Haiku, &[]).group = Some(group);
        lines.task("check", "read", Haiku, &[item * 2]).group = Some(group);
    }
    assert_snapshot!(pattern(&lines), @"pipeline of 2 stages over 4 items");

    let mut plan = Builder::new();
    for waits in [&[][..], &[], &[0], &[1], &[2, 3]] {
        plan.task("t", "read", Haiku, waits);
    }
    assert_snapshot!(pattern(&plan), @"graph of 5 tasks in 3 waves (2, 2, 1)");
}

#[test]
fn patterns_stand_in_each_other() {
    let mut flow = Builder::new();
    flow.task("find", "search", Haiku, &[]).task.phase = Some("Find".into());
    let group = flow.group(GroupKind::Pipeline, 2, None);
    (
        flow.graph.groups[group].guessed,
        flow.graph.groups[group].by_result,
    ) = (true, true);
    for _ in 0..2 {
        let review = flow.graph.tasks.len();
        let node = flow.task("review", "review", Sonnet, &[0]);
        node.group = Some(group);
        node.task.phase = Some("Review".into());
        let checks = flow.group(GroupKind::Parallel, 3, Some(group));
        for _ in 0..3 {
            flow.task("check", "review", Sonnet, &[review]).group = Some(checks);
        }
    }
    let all: Vec<usize> = (1..flow.graph.tasks.len()).collect();
    flow.task("sum up", "review", Sonnet, &all);
    let planned = flow.group(GroupKind::Decompose, 3, None);
    for _ in 0..4 {
        flow.task("part", "review", Sonnet, &[]).group = Some(planned);
    }
    assert_snapshot!(pattern(&flow), @r"
    Find → Review: hierarchy: `find` decides the width of a pipeline of 2 stages over about 2 items, each with a fan-out of 3, and `sum up` reads them (scatter-gather)
    hierarchy: a planner and 3 tasks
    ");
}

#[test]
fn what_is_open_is_said() {
    let mut flow = Builder::new();
    flow.task("a", "read", Haiku, &[]);
    let site = Some(Site {
        script: "x.js".into(),
        line: 4,
    });
    flow.graph.open.push(Remark {
        what: "a loop goes on until a result says otherwise".into(),
        site,
    });
    flow.graph.ends_early = true;
    flow.graph.broke_off = Some(Remark {
        what: "TypeError: x is not a function".into(),
        site: None,
    });
    assert_snapshot!(only(&flow.checked(), Question::Pattern), @r"
    ✗ pattern identified?  single task `a`
      ✗ it did not get to its end on placeholders: TypeError: x is not a function
        if it needs arguments, give them with `--args`, and make it bear any result
      ! x.js:4 a loop goes on until a result says otherwise
        bound it, so that the price has a bound, too
    ");
    assert_snapshot!(only(&Builder::new().checked(), Question::Pattern), @r"
    ! pattern identified?  
      ! it asks for no task when it is run on placeholders
        if it needs arguments, give them with `--args`
    ");
}

fn line_4() -> Option<Site> {
    Some(Site {
        script: "x.js".into(),
        line: 4,
    })
}

#[test]
fn phases_without_a_planned_task_are_named_with_the_reason() {
    let mut flow = Builder::new();
    flow.task("find", "search", Haiku, &[]);
    let unreached = |phase: &str, is_other_branch, why: &str| Unreached {
        phase: phase.into(),
        site: line_4(),
        is_other_branch,
        why: why.into(),
    };
    let ends = "the script ends after `find`, whatever placeholder it gets";
    flow.graph.unreached = vec![
        unreached("Mend", false, ends),
        unreached("Ship", false, ends),
        unreached("Rescue", true, "only if `find` fails"),
    ];
    assert_snapshot!(only(&flow.checked(), Question::Pattern), @r"
    ! pattern identified?  single task `find`; the phase `Rescue` only if `find` fails
      ! x.js:4 no task is planned in the phases `Mend` and `Ship`: the script ends after `find`, whatever placeholder it gets
        the price is without them; if they depend on arguments, give these with `--args`
    ");
}

#[test]
fn a_loop_that_the_flow_bounds_is_no_finding() {
    let mut flow = Builder::new();
    flow.task("find", "search", Haiku, &[]).site = line_4();
    flow.graph.open.push(Remark {
        what: "how often it repeats depends on results: 4 rounds assumed, 8 at most".into(),
        site: line_4(),
    });
    flow.graph.guesses.push(Guess {
        tasks: vec![0],
        repeats: true,
        most: Some(8),
        ..Guess::default()
    });
    assert_snapshot!(only(&flow.checked(), Question::Pattern), @"✓ pattern identified?  single task `find`");
}

#[test]
fn what_nothing_awaits_and_what_a_run_refuses_is_said() {
    let mut flow = Builder::new();
    flow.task("read", "read", Haiku, &[]).used = Use::Unawaited;
    flow.graph.strays.push(Remark {
        what:
            "its prompt says `[object Promise]`: an `await` is missing, and a run refuses the task"
                .into(),
        site: line_4(),
    });
    assert_snapshot!(only(&flow.checked(), Question::Pattern), @r"
    ✗ pattern identified?  single task `read`
      ✗ x.js:4 its prompt says `[object Promise]`: an `await` is missing, and a run refuses the task
        write `await` before the call whose result the prompt needs
    ");
    assert_snapshot!(only(&flow.checked(), Question::Dependencies), @r"
    ! dependencies mapped?  1 task, no result goes from one to another
      ! x.js:1 nothing awaits `read`: the flow may end before, and its result is lost
        write `await` before it, or await the promise that it returns
    ");
}

#[test]
fn tools_and_rights_that_prompts_need_are_named() {
    let mut flow = Builder::new();
    let rights = Rights {
        run_withheld: true,
        write_withheld: true,
        ..Rights::default()
    };
    for (label, prompt, rights) in [
        (
            "mend",
            "Edit the files in src/, run the tests and commit.",
            rights.clone(),
        ),
        (
            "judge",
            "Judge it. Do not run the tests, and edit the file never.",
            Rights::default(),
        ),
        ("look", "Search the web for the date", rights.clone()),
        (
            "scout",
            "Find the date",
            Rights {
                lacks: vec!["WebSearch".into()],
                ..rights
            },
        ),
    ] {
        let node = flow.task(label, "search", Sonnet, &[]);
        node.task.prompt = prompt.into();
        node.task.isolation = crate::task::Isolation::Worktree;
        if let Ok(assigned) = &mut node.assigned {
            assigned.rights = rights;
        }
    }
    assert_snapshot!(only(&flow.checked(), Question::Dependencies), @r"
    ! dependencies mapped?  4 tasks, no result goes from one to another
      ! x.js:4 `scout` asks for `WebSearch`, which divisi does not have: it works without
        let an executor or an MCP server with these tools do it, or take them out of its definition
      ! x.js:1 no tool of the run runs commands, as the prompt of `mend` asks (“run the tests and commit”)
        allow commands with `--allow run`, if the prompts need them
      ! x.js:1 no tool of the run changes files, as the prompt of `mend` asks (“Edit the files in src/”)
        allow changes with `--allow write`, if the prompts need them
      ! x.js:3 no tool of the run searches the web, as the prompt of `look` asks (“Search the web for the date”)
        let an executor or an MCP server with such a tool do it, or give the task what it would find
    ");
    let settings = Settings {
        has_repository: Some(false),
        ..Settings::default()
    };
    let without = checklist(&flow.graph, None, &settings);
    let worst = &without.items[1].findings[0];
    assert_eq!(worst.verdict, Verdict::Wrong);
    assert_eq!(
        worst.what,
        "`mend`, `judge`, `look` and 1 more need a worktree, and there is no git repository here"
    );
}

#[test]
fn tools_of_mcp_servers_are_named_as_unknown_or_missing() {
    let mut flow = Builder::new();
    for (label, rights) in [
        (
            "log",
            Rights {
                unknown_tools: vec!["mcp__git__*".into()],
                ..Rights::default()
            },
        ),
        (
            "post",
            Rights {
                lacks: vec!["mcp__chat__post".into()],
                ..Rights::default()
            },
        ),
    ] {
        let node = flow.task(label, "search", Sonnet, &[]);
        node.task.prompt = "Search the web".into();
        if let Ok(assigned) = &mut node.assigned {
            assigned.rights = rights;
        }
    }
    assert_snapshot!(only(&flow.checked(), Question::Dependencies), @"
    ! dependencies mapped?  2 tasks, no result goes from one to another
      ! x.js:2 `post` asks for `mcp__chat__post`, which divisi does not have: it works without
        name the server under [mcp.NAME] or in .mcp.json, and permit it with `--allow mcp:NAME`
      ! x.js:1 `log` asks for `mcp__git__*`, which is known only once its MCP server has started: a length is assumed for it, and a name that there is not is not noticed
        name single tools (`mcp__SERVER__TOOL`), so that each request carries fewer definitions
      ! x.js:2 `post` is asked the same as `log` (x.js:1) [$0.0300]
        ask once, and use the result twice
    ");
}

#[test]
fn a_guessed_width_is_no_finding() {
    let mut flow = Builder::new();
    flow.task("find", "search", Haiku, &[]);
    let group = flow.group(GroupKind::Parallel, 3, None);
    let site = Some(Site {
        script: "x.js".into(),
        line: 4,
    });
    (
        flow.graph.groups[group].guessed,
        flow.graph.groups[group].by_result,
    ) = (true, true);
    flow.graph.groups[group].site = site.clone();
    flow.graph.open.push(Remark {
        what: "how many there are depends on results".into(),
        site,
    });
    for _ in 0..3 {
        flow.task("audit", "review", Sonnet, &[0]).group = Some(group);
    }
    assert_snapshot!(only(&flow.checked(), Question::Pattern), @"✓ pattern identified?  hierarchy: `find` decides the width of a fan-out of about 3");
}

#[test]
fn writers_of_one_folder_are_a_finding_only_if_they_work_at_once() {
    use crate::Isolation;
    let told = |change: &dyn Fn(&mut Builder, &mut Settings)| {
        let mut flow = Builder::new();
        flow.task("find", "search", Haiku, &[]);
        flow.task("one", "simple-edit", Haiku, &[0]);
        flow.task("look", "review", Sonnet, &[0]);
        flow.task("two", "feature", Sonnet, &[0]);
        let mut settings = Settings {
            agents_write: true,
            kinds: ["simple-edit", "feature"]
                .map(|kind| {
                    (
                        kind.into(),
                        KindRule {
                            tier: Haiku,
                            writes: true,
                        },
                    )
                })
                .into(),
            ..Settings::default()
        };
        change(&mut flow, &mut settings);
        let list = checklist(&flow.graph, None, &settings);
        let findings = list.items[1].findings.iter();
        findings
            .filter(|finding| finding.what.contains("same time"))
            .map(|finding| format!("{}; {}", finding.what, finding.change))
            .collect::<String>()
    };
    assert_snapshot!(told(&|_, _| {}), @"`one` and `two` may change the same files at the same time; give each a worktree with `isolation: 'worktree'`, which `divisi merge` merges, or let none touch what another does");
    type Change<'a> = &'a dyn Fn(&mut Builder, &mut Settings);
    let fine: [Change<'_>; 6] = [
        &|_, settings| settings.agents_write = false,
        &|_, settings| settings.bounds.in_flight_max = 1,
        &|flow, _| flow.graph.tasks[1].task.isolation = Isolation::Worktree,
        &|flow, _| {
            flow.graph.tasks[3]
                .assigned
                .as_mut()
                .unwrap()
                .rights
                .worktree = true;
        },
        // One waits for the other, through a task in between.
        &|flow, _| {
            flow.graph.tasks[2].waits = vec![1];
            flow.graph.tasks[3].waits = vec![2];
        },
        &|flow, _| flow.graph.tasks[1].task.tools = Some(vec!["read_file".into()]),
    ];
    for (place, change) in fine.into_iter().enumerate() {
        assert_eq!(told(change), "", "{place}");
    }
}
