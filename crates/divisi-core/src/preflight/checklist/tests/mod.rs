//! What the checklist says of flows.

mod patterns;

use super::fixture::{Builder, rung, told};
use super::{Checklist, Finding, Question, Verdict};
use crate::Tier::{Fable, Haiku, Opus, Sonnet};
use crate::event::GroupKind;
use crate::preflight::{Bounds, NullRead, Remark, Site, Use};
use crate::{Approval, Failure, FailureClass, Millis, PicoUsd};
use insta::assert_snapshot;
use proptest::prelude::*;

/// The item as text.
fn only(list: &Checklist, question: Question) -> String {
    let all = told(list);
    let lines: Vec<&str> = all.lines().collect();
    let start = lines
        .iter()
        .position(|line| line.contains(question.text()))
        .unwrap();
    let end = lines[start + 1..]
        .iter()
        .position(|line| !line.starts_with(' '))
        .map_or(lines.len(), |at| start + 1 + at);
    lines[start..end].join("\n")
}

#[test]
fn a_good_flow_is_told_of_in_six_lines() {
    let mut flow = Builder::new();
    let group = flow.group(GroupKind::Parallel, 3, None);
    for name in ["security", "speed", "style"] {
        flow.task(name, "review", Sonnet, &[]).group = Some(group);
    }
    flow.task("plan", "review", Sonnet, &[0, 1, 2]);
    assert_eq!(flow.checked().verdict(), Verdict::Ok);
    assert_snapshot!(told(&flow.checked()), @r"
    ✓ pattern identified?  scatter-gather: fan-out of 3, and `plan` reads them
    ✓ dependencies mapped?  4 tasks, 3 results go from one to another
    ✓ parallelisation opportunities?  up to 3 tasks at the same time
    ✓ right model per agent?  4 on sonnet
    ✓ cost estimated?  about $0.1200, mostly $0.0600 to $0.2400; capped at $1.00
    ✓ error handling planned?  timeout 10 min, retries 3
    ");
}

#[test]
fn opus_for_everything_in_a_row_is_the_expensive_way() {
    let mut flow = Builder::new();
    flow.task("find files", "search", Opus, &[]);
    flow.task("read configs", "read", Opus, &[0]);
    flow.task("format", "format", Opus, &[1]).reads = vec![];
    flow.task("design", "architecture", Opus, &[2]).reads = vec![0, 1];
    flow.graph.tasks[2].used = Use::Unread;
    assert_snapshot!(told(&flow.checked_with(None)), @r"
    ✓ pattern identified?  sequence of 4
    ! dependencies mapped?  4 tasks, 3 results go from one to another
      ! x.js:3 no task reads the result of `format` [$0.0900]
        return or log it, put it into a later prompt, or take the task out
    ! parallelisation opportunities?  nothing runs at the same time; about 3 min instead of 4 min without the waits below
      ! x.js:3 `format` waits for `read configs` without reading what came of it [60 s]
        start them together with `parallel()`, unless `read configs` changes files that `format` needs
      ! x.js:4 `design` waits for `format` without reading what came of it [60 s]
        start them together with `parallel()`, unless `format` changes files that `design` needs
    ! right model per agent?  4 on opus; about $0.2400 less on average on the tiers that suffice
      ! x.js:1 opus for `find files`, which looks like search [$0.0800]
        give it `model: 'haiku'`; if it is harder than it looks, say its `kind`
      ! x.js:2 opus for `read configs`, which looks like read [$0.0800]
        give it `model: 'haiku'`; if it is harder than it looks, say its `kind`
      ! x.js:3 opus for `format`, which looks like format [$0.0800]
        give it `model: 'haiku'`; if it is harder than it looks, say its `kind`
    ! cost estimated?  about $0.3600, mostly $0.1800 to $0.7200
      ! no cap
        run it with `--max-cost 0.72`, or set `cost_max` in the settings
    ✓ error handling planned?  timeout 10 min, retries 3
    ");
}

#[test]
fn too_weak_is_wrong_and_one_step_is_no_finding() {
    let mut flow = Builder::new();
    flow.task("design", "architecture", Haiku, &[]);
    flow.task("sort", "algorithm", Sonnet, &[0]);
    flow.task("review", "review", Haiku, &[1]);
    flow.task("judge", "review", Opus, &[2]);
    flow.task("sum up", "review", Fable, &[3]);
    assert_snapshot!(only(&flow.checked(), Question::Models), @r"
    ✗ right model per agent?  2 on haiku, 1 on sonnet, 1 on opus, 1 on fable; 1 task stands one tier above the table, about $0.0600 more on average
      ✗ x.js:1 haiku for `design`, which looks like architecture: it is too weak for that
        give it `model: 'opus'`, or a ladder `['haiku', 'opus']` with a `check`; if it is easier than it looks, say its `kind`
      ! x.js:5 fable for `sum up`, which looks like review [$0.2400]
        give it `model: 'sonnet'`; if it is harder than it looks, say its `kind`
    ");
}

#[test]
fn a_ladder_with_a_check_may_start_low() {
    let ladder = |checked| {
        let mut flow = Builder::new();
        let node = flow.task("design", "architecture", Haiku, &[]);
        let assigned = node.assigned.as_mut().unwrap();
        assigned.rungs.push(rung(Opus));
        assigned.checked = checked;
        only(&flow.checked(), Question::Models)
    };
    assert_snapshot!(ladder(true), @"✓ right model per agent?  1 on haiku");
    assert_snapshot!(ladder(false), @r"
    ✗ right model per agent?  1 on haiku
      ✗ x.js:1 haiku for `design`, which looks like architecture: it is too weak for that
        give it `model: 'opus'`, or a ladder `['haiku', 'opus']` with a `check`; if it is easier than it looks, say its `kind`
      ! x.js:1 `design` has a ladder and no check: only its first model is ever asked
        add a `check`, or name one model
    ");
}

#[test]
fn words_that_mean_nothing_are_wrong() {
    let mut flow = Builder::new();
    for _ in 0..2 {
        let node = flow.task("a", "read", Haiku, &[]);
        node.site = Some(Site {
            script: "x.js".into(),
            line: 1,
        });
        node.assigned = Err(Failure::new(
            FailureClass::BadRequest,
            "no provider has the model `hiaku`",
        )
        .hint("did you mean `haiku`?"));
    }
    assert_eq!(flow.checked().verdict(), Verdict::Wrong);
    assert_snapshot!(only(&flow.checked(), Question::Models), @r"
    ✗ right model per agent?  2 cannot run like this
      ✗ x.js:1 no provider has the model `hiaku` (2 tasks)
        did you mean `haiku`?
    ");
    assert_snapshot!(only(&flow.checked(), Question::Cost), @r"
    ✗ cost estimated?  capped at $1.00
      ✗ 2 tasks cannot be priced
        see the findings on models
    ");
}

#[test]
fn a_wait_needs_a_reason() {
    let needless = |change: fn(&mut Builder)| {
        let mut flow = Builder::new();
        flow.task("a", "read", Haiku, &[]);
        flow.task("b", "read", Haiku, &[0]).reads = vec![];
        change(&mut flow);
        only(&flow.checked(), Question::Parallel)
    };
    assert_snapshot!(needless(|_| {}), @r"
    ! parallelisation opportunities?  nothing runs at the same time; about 60 s instead of 120 s without the waits below
      ! x.js:2 `b` waits for `a` without reading what came of it [60 s]
        start them together with `parallel()`, unless `a` changes files that `b` needs
    ");
    let reasons: [fn(&mut Builder); 7] = [
        |flow| flow.graph.tasks[1].reads = vec![0],
        |flow| flow.graph.tasks[0].used = Use::Unknown,
        |flow| flow.graph.tasks[1].task.approval = Some(Approval::default().into()),
        |flow| flow.graph.tasks[0].task.tools = Some(vec!["write_file".into()]),
        |flow| flow.graph.tasks[0].assigned.as_mut().unwrap().writes = true,
        |flow| flow.graph.tasks[0].assigned.as_mut().unwrap().kind = "simple-edit".into(),
        |flow| {
            flow.graph.open.push(Remark {
                what: "a loop".into(),
                site: flow.graph.tasks[1].site.clone(),
            });
        },
    ];
    for reason in reasons {
        assert!(needless(reason).starts_with('✓'), "{}", needless(reason));
    }
    assert_snapshot!(needless(reasons[3]), @"✓ parallelisation opportunities?  nothing runs at the same time; `b` waits for a task that may change files, and read nothing of it");
}

#[test]
fn what_runs_at_the_same_time_is_bounded() {
    let mut flow = Builder::new();
    for _ in 0..130 {
        let node = flow.task("count", "other", Haiku, &[]);
        node.assigned.as_mut().unwrap().is_program = true;
    }
    flow.task("read", "read", Haiku, &[]);
    let told = |flow: &Builder, (in_flight_max, programs_max)| {
        let bounds = Bounds {
            in_flight_max,
            programs_max,
            ..Bounds::default()
        };
        only(&flow.checked_within(None, bounds), Question::Parallel)
    };
    assert_snapshot!(told(&flow, (1_000, 64)), @"✓ parallelisation opportunities?  up to 65 tasks at the same time, without `limits.programs_max` up to 131");
    assert_snapshot!(told(&flow, (1_000, 1_000)), @"✓ parallelisation opportunities?  up to 131 tasks at the same time");
    assert_snapshot!(told(&flow, (100, 64)), @"✓ parallelisation opportunities?  up to 65 tasks at the same time, without `limits.in_flight_max` and `limits.programs_max` up to 131");
    assert_snapshot!(told(&flow, (16, 16)), @"✓ parallelisation opportunities?  up to 16 tasks at the same time, without `limits.in_flight_max` up to 131");
    assert_snapshot!(told(&flow, (1, 64)), @"✓ parallelisation opportunities?  nothing runs at the same time, without `limits.in_flight_max` up to 131");

    // The same tasks in a chain: without their waits, 64 of them run at a time.
    for place in 1..130 {
        let node = &mut flow.graph.tasks[place];
        (node.waits, node.site) = (vec![place - 1], None);
    }
    let said = told(&flow, (1_000, 64));
    assert!(
        said.contains("; about 3 min instead of 130 min without the waits below"),
        "{said}"
    );
}

#[test]
fn a_wait_for_all_where_each_reads_its_own_is_a_barrier() {
    let mut flow = Builder::new();
    let first = flow.group(GroupKind::Parallel, 3, None);
    let second = flow.group(GroupKind::Parallel, 3, None);
    for name in ["a", "b", "c"] {
        flow.task(name, "read", Haiku, &[]).group = Some(first);
    }
    for (place, name) in ["a2", "b2", "c2"].into_iter().enumerate() {
        let node = flow.task(name, "read", Haiku, &[0, 1, 2]);
        node.group = Some(second);
        node.reads = vec![place];
        node.site = Some(Site {
            script: "x.js".into(),
            line: 9,
        });
    }
    assert_snapshot!(only(&flow.checked(), Question::Parallel), @r"
    ! parallelisation opportunities?  up to 3 tasks at the same time
      ! x.js:9 `a2`, `b2` and `c2` wait for all of `a`, `b` and `c`, and each reads only its own
        take each item through its steps with `pipeline()`, unless the others change files that it needs
    ");
}

#[test]
fn results_are_used_once_and_are_there() {
    let mut flow = Builder::new();
    flow.task("lost", "read", Haiku, &[]).used = Use::Unread;
    let builds = flow.task("builds", "feature", Sonnet, &[]);
    builds.used = Use::Unread;
    flow.task("x", "read", Haiku, &[]).task.prompt = "the same".into();
    flow.task("y", "read", Haiku, &[]).task.prompt = "the same".into();
    let site = flow.graph.tasks[3].site.clone();
    flow.graph.nulls.push(NullRead {
        label: "y".into(),
        site,
        word: "null".into(),
        excerpt: "Join null and".into(),
    });
    assert_snapshot!(only(&flow.checked(), Question::Dependencies), @r"
    ! dependencies mapped?  4 tasks, no result goes from one to another; 1 result is not read, and it may change files
      ! x.js:4 the prompt of `y` says `null` when a task before fails: “Join null and”
        leave the task out then, or read the results with `gather()`, or make the task before `required: true`
      ! x.js:1 no task reads the result of `lost` [$0.0100]
        return or log it, put it into a later prompt, or take the task out
      ! x.js:4 `y` is asked the same as `x` (x.js:3) [$0.0100]
        ask once, and use the result twice
    ");
}

#[test]
fn a_vote_and_a_loop_may_ask_the_same() {
    let mut flow = Builder::new();
    let group = flow.group(GroupKind::Parallel, 2, None);
    for _ in 0..2 {
        let node = flow.task("judge", "review", Sonnet, &[]);
        node.group = Some(group);
    }
    for _ in 0..2 {
        let node = flow.task("again", "review", Sonnet, &[]);
        node.site = Some(Site {
            script: "x.js".into(),
            line: 7,
        });
    }
    assert!(only(&flow.checked(), Question::Dependencies).starts_with('✓'));
}

#[test]
fn failures_are_planned_for() {
    let mut flow = Builder::new();
    let mut with = |label: &str, retries: u32, timeout: u64| {
        let assigned = flow
            .task(label, "read", Haiku, &[])
            .assigned
            .as_mut()
            .unwrap();
        assigned.retries_max = retries;
        assigned.timeout = Millis::from_secs(timeout);
    };
    with("once", 0, 600);
    with("stubborn", 99, 600);
    with("hasty", 3, 1);
    with("endless", 3, 31_536_000);
    with("short", 3, 30);
    flow.graph.uninformed = vec![4];
    assert_snapshot!(only(&flow.checked(), Question::Errors), @r"
    ! error handling planned?  timeout 1 s to 8760 h, retries 0 to 99
      ! x.js:5 `short` is not told when a part is missing, and takes the rest for all
        use `gather(prompt, parts)`, which says what is missing and why
      ! x.js:1 no retry for `once`
        take out `retries: 0`: one dropped connection is a lost task
      ! x.js:2 99 retries for `stubborn`
        three are enough for whatever passes by itself
      ! x.js:3 a timeout of 1 s for `hasty`
        give it at least as long as a model needs
      ! x.js:4 no timeout for `endless`
        give it a `timeout`, like '20m', so that a task that hangs is seen
      ! x.js:5 a timeout of 30 s, and about 60 s of work, for `short`
        give it a `timeout` above 60 s
    ");
}

#[test]
fn money_is_known_and_capped() {
    let mut flow = Builder::new();
    flow.task("a", "architecture", Opus, &[]);
    let capped = |dollars: &str| {
        only(
            &flow.checked_with(PicoUsd::parse_dollars(dollars)),
            Question::Cost,
        )
    };
    assert_snapshot!(capped(""), @r"
    ! cost estimated?  about $0.0900, mostly $0.0450 to $0.1800
      ! no cap
        run it with `--max-cost 0.18`, or set `cost_max` in the settings
    ");
    assert_snapshot!(capped("0.05"), @r"
    ! cost estimated?  about $0.0900, mostly $0.0450 to $0.1800; capped at $0.0500
      ! the run will probably park at its cap of $0.0500 [$0.1800]
        `--max-cost 0.18` holds nine runs of ten
    ");
    assert_snapshot!(capped("0.1"), @r"
    ! cost estimated?  about $0.0900, mostly $0.0450 to $0.1800; capped at $0.1000
      ! the run may park at its cap of $0.1000 [$0.1800]
        `--max-cost 0.18` holds nine runs of ten
    ");
    assert_snapshot!(capped("1"), @"✓ cost estimated?  about $0.0900, mostly $0.0450 to $0.1800; capped at $1.00");
    let nothing = super::checklist(&flow.graph, None, &super::Settings::default());
    assert_snapshot!(only(&nothing, Question::Cost), @r"
    ! cost estimated?  
      ! nothing is known of its cost
        `divisi plan` says why
      ! no cap
        run it with `--max-cost`, or set `cost_max` in the settings
    ");
}

#[test]
fn a_flow_that_is_no_graph_has_one_answer() {
    let cycle = Finding::wrong(
        Some(Site {
            script: "p.yaml".into(),
            line: 3,
        }),
        "`a` and `b` wait for each other",
        "cut it",
    );
    assert_snapshot!(told(&Checklist::refused(vec![cycle])), @r"
    – pattern identified?  
    ✗ dependencies mapped?  
      ✗ p.yaml:3 `a` and `b` wait for each other
        cut it
    – parallelisation opportunities?  
    – right model per agent?  
    – cost estimated?  
    – error handling planned?
    ");
}

proptest! {
    /// For any flow: the checklist has an answer, and no advice makes the flow slower.
    #[test]
    fn every_graph_has_a_list(
        tasks in prop::collection::vec((any::<u16>(), any::<u16>(), 0..8u8, 0..4u8), 1..40),
        groups in prop::collection::vec((0..3u8, any::<bool>(), any::<u8>()), 0..6),
        (in_flight_max, programs_max) in (0..6u32, 0..4u32),
    ) {
        let mut flow = Builder::new();
        for (place, &(kind, guessed, parent)) in groups.iter().enumerate() {
            let kind = [GroupKind::Parallel, GroupKind::Pipeline, GroupKind::Decompose][usize::from(kind)];
            let parent = place.checked_sub(1).map(|_| usize::from(parent) % place);
            let group = flow.group(kind, 3, parent.filter(|_| place % 2 == 0));
            (flow.graph.groups[group].guessed, flow.graph.groups[group].by_result) = (guessed, guessed);
        }
        for (place, &(waits, reads, group, tier)) in tasks.iter().enumerate() {
            let of = |bits: u16| (0..16).filter(|bit| bits >> bit & 1 == 1 && *bit < place).collect::<Vec<_>>();
            let kind = ["search", "architecture", "feature", "unheard-of"][usize::from(tier)];
            let node = flow.task("t", kind, crate::Tier::ALL[usize::from(tier)], &of(waits));
            node.reads = of(reads);
            node.group = (usize::from(group) < groups.len()).then_some(usize::from(group));
            node.used = [Use::Read, Use::Unread, Use::Unknown][usize::from(group) % 3];
            node.assigned.as_mut().unwrap().is_program = reads % 2 == 0;
        }
        let bounds = Bounds { in_flight_max, programs_max, ..Bounds::default() };
        let list = flow.checked_within(Some(PicoUsd::DOLLAR), bounds);
        prop_assert!(list.items.iter().all(|item| item.verdict != Verdict::Unknown));
        for finding in &list.items[2].findings {
            prop_assert!(finding.time.is_none_or(|time| time.0 <= 60_000 * tasks.len() as u64));
        }
    }
}

#[test]
fn caps_of_phases_are_told_and_held_against_what_is_expected() {
    let mut flow = Builder::new();
    for (label, phase) in [("a", "Find"), ("b", "Fix")] {
        flow.task(label, "review", Sonnet, &[]).task.phase = Some(phase.into());
    }
    flow.graph.phase_caps = [
        ("Find".into(), PicoUsd(PicoUsd::DOLLAR.0)),
        ("Fix".into(), PicoUsd(PicoUsd::DOLLAR.0 / 100)),
    ]
    .into();
    let [.., cost, _] = flow.checked().items;
    assert_snapshot!(cost.evidence.join("; "), @"about $0.0600, mostly $0.0300 to $0.1200; capped at $1.00; phases are capped: Find at $1.00, Fix at $0.0100");
    assert_snapshot!(format!("{}: {}", cost.findings[0].what, cost.findings[0].change), @"the phase Fix costs $0.0300 on average, and the run parks at its cap of $0.0100: raise its `maxCost` in the flow, or its cap under `[budget.phases]` in divisi.toml");
}

#[test]
fn a_cap_of_a_phase_without_tasks_is_pointed_at_and_not_told_as_holding() {
    let mut flow = Builder::new();
    flow.task("a", "review", Sonnet, &[]).task.phase = Some("Audit".into());
    flow.graph.phase_caps = [("Audits".into(), PicoUsd(PicoUsd::DOLLAR.0))].into();
    let [.., cost, _] = flow.checked().items;
    assert!(
        !cost.evidence.join("; ").contains("Audits"),
        "{:?}",
        cost.evidence
    );
    assert_snapshot!(format!("{}: {}", cost.findings[0].what, cost.findings[0].change), @"no task is in the phase Audits, and its cap holds nothing: name a phase that tasks are in, such as Audit");
}
