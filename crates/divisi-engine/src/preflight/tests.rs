//! What dry runs find, for small flows that do one thing each.

use super::*;
use crate::models::{Models, ProviderModels};
use divisi_core::preflight::{Remark, Use};
use divisi_providers::Scripted;
use std::fmt::Write;

fn setup(workspace: &std::path::Path) -> Arc<Setup> {
    let models = ProviderModels::new(
        Arc::new(Scripted::demo()),
        &[("haiku", "h"), ("sonnet", "s"), ("opus", "o")],
        &[],
    );
    let models = Models {
        default: "sonnet".into(),
        provider: "demo".into(),
        providers: [("demo".to_owned(), models)].into(),
    };
    Arc::new(Setup::new(models, workspace))
}

fn graph_of(flow: &Flow, limits: &TraceLimits) -> Graph {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("flows")).unwrap();
    let inner = "const found = await agent('look into ' + args, { label: 'inner' })\nreturn found";
    std::fs::write(folder.path().join("flows/inner.js"), inner).unwrap();
    trace(flow, setup(folder.path()), limits).unwrap()
}

/// One line per task: its dependencies, what it reads, its line in the flow.
fn shown(graph: &Graph) -> String {
    let mut text = String::new();
    let list = |places: &[usize]| {
        places
            .iter()
            .map(|place| format!("t{place}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (place, node) in graph.tasks.iter().enumerate() {
        let prompt = node.task.prompt.replace('\n', "⏎");
        write!(text, "t{place} {prompt}").unwrap();
        if !node.waits.is_empty() {
            write!(text, " | after {}", list(&node.waits)).unwrap();
        }
        if !node.reads.is_empty() {
            write!(text, " | reads {}", list(&node.reads)).unwrap();
        }
        if let Some(group) = node.group {
            write!(text, " | in g{group}").unwrap();
        }
        if node.used != Use::Read {
            write!(text, " | {:?}", node.used).unwrap();
        }
        text.push('\n');
    }
    for (place, group) in graph.groups.iter().enumerate() {
        let line = group.site.as_ref().map_or(0, |site| site.line);
        let guess = match (group.guessed, group.by_result) {
            (true, _) => " (a guess)",
            (false, true) => " (expected)",
            (false, false) => "",
        };
        let parent = group
            .parent
            .map(|parent| format!(" in g{parent}"))
            .unwrap_or_default();
        writeln!(
            text,
            "g{place} {:?} of {}{guess}{parent}, line {line}",
            group.kind, group.width
        )
        .unwrap();
    }
    for open in &graph.open {
        writeln!(
            text,
            "open, line {}: {}",
            open.site.as_ref().map_or(0, |site| site.line),
            open.what
        )
        .unwrap();
    }
    for stray in &graph.strays {
        let line = stray.site.as_ref().map_or(0, |site| site.line);
        writeln!(text, "stray, line {line}: {}", stray.what).unwrap();
    }
    for null in &graph.nulls {
        let line = null.site.as_ref().map_or(0, |site| site.line);
        writeln!(
            text,
            "spoiled, line {line}: `{}` in: {}",
            null.word, null.excerpt
        )
        .unwrap();
    }
    if !graph.uninformed.is_empty() {
        writeln!(text, "uninformed: {}", list(&graph.uninformed)).unwrap();
    }
    if !graph.returned.is_empty() {
        writeln!(text, "returned: {}", list(&graph.returned)).unwrap();
    }
    if let Some(Remark { what: why, .. }) = &graph.broke_off {
        writeln!(text, "broke off: {why}").unwrap();
    }
    text
}

fn traced(source: &str) -> String {
    shown(&graph_of(
        &Flow::script("flow.js", source),
        &TraceLimits::default(),
    ))
}

/// A schema of lists of texts, and of other things, for the flows below.
const SCHEMAS: &str = "const list = name => ({ type: 'object', properties: { [name]: { type: 'array', items: { type: 'string' } } }, required: [name] });";

#[test]
fn a_barrier_is_waited_for_by_all_that_follow() {
    insta::assert_snapshot!(traced("const r = await parallel(['a', 'b', 'c'].map(x => () => agent(x)))\nawait parallel([1, 2].map(x => () => agent('second ' + x)))\nreturn agent('join ' + r.join(' and '))"), @r"
    t0 a | in g0
    t1 b | in g0
    t2 c | in g0
    t3 second 1 | after t0 t1 t2 | in g1 | Unread
    t4 second 2 | after t0 t1 t2 | in g1 | Unread
    t5 join {{t0}} and {{t1}} and {{t2}} | after t3 t4 | reads t0 t1 t2
    g0 Parallel of 3, line 1
    g1 Parallel of 2, line 2
    uninformed: t5
    returned: t5
    ");
}

#[test]
fn a_pipeline_has_no_barriers() {
    insta::assert_snapshot!(traced("return pipeline(['a', 'b'], x => agent('read ' + x), (r, x) => agent(`edit ${x}: ${r}`), (r, x, i) => i ? agent(`test ${r}`) : r)"), @r"
    t0 read a | in g0
    t1 read b | in g0
    t2 edit a: {{t0}} | after t0 | reads t0 | in g0
    t3 edit b: {{t1}} | after t1 | reads t1 | in g0
    t4 test {{t3}} | after t3 | reads t3 | in g0
    g0 Pipeline of 2, line 1
    returned: t2 t4
    ");
}

#[test]
fn a_plan_ends_where_the_run_would_refuse() {
    let source = "let n = 0; while (true) await agent('round ' + n++)";
    let graph = graph_of(&Flow::script("flow.js", source), &TraceLimits::default());
    assert_eq!((graph.tasks.len(), graph.ends_early), (1_000, false));
    insta::assert_snapshot!(graph.warnings[0].what, @"it makes more than 1000 calls, and a run refuses those after 1000: write for example `maxAgents: 4000` in `meta` if they are meant");
    let wide = "await parallel([...Array(1500).keys()].map(n => () => agent('part ' + n)))";
    let graph = graph_of(&Flow::script("flow.js", wide), &TraceLimits::default());
    assert_eq!((graph.tasks.len(), graph.warnings.len()), (1_500, 0));
    let stated =
        format!("export const meta = {{ name: 'm', description: 'd', maxAgents: 5 }}\n{source}");
    let graph = graph_of(&Flow::script("flow.js", stated), &TraceLimits::default());
    assert_eq!((graph.tasks.len(), graph.ends_early), (5, false));
    insta::assert_snapshot!(graph.warnings[0].what, @"it makes more than 5 calls, and a run refuses those after 5: write for example `maxAgents: 20` in `meta` if they are meant");
}

#[test]
fn pauses_make_no_chain_and_limits_leave_agents_their_time() {
    insta::assert_snapshot!(traced("const sleep = ms => new Promise(done => setTimeout(done, ms))\nawait parallel(['a', 'b'].map((x, i) => async () => { await sleep(i * 1000); return agent('read ' + x) }))\nconst first = await Promise.race([agent('slow'), sleep(300_000).then(() => null)])\nreturn first ? agent('use ' + first) : agent('give up')"), @r"
    t0 read a | in g0 | Unread
    t1 read b | in g0 | Unread
    t2 slow | after t0 t1
    t3 use {{t2}} | after t2 | reads t2
    g0 Parallel of 2, line 2
    returned: t3
    ");
}

#[test]
fn agents_that_race_are_awaited() {
    // A short timer wins against the agent, so the flow ends before the agent does.
    let race = "const sleep = ms => new Promise(done => setTimeout(done, ms))\nreturn Promise.race([agent('slow'), sleep(1000).then(() => 'late')])";
    assert!(!traced(race).contains("Unawaited"), "{}", traced(race));
    let beside = race.replace(
        "return Promise.race([agent('slow'), ",
        "agent('slow')\nreturn Promise.all([",
    );
    assert!(traced(&beside).contains("Unawaited"), "{}", traced(&beside));
}

#[test]
fn a_pipeline_may_skip_stages_of_an_item() {
    insta::assert_snapshot!(traced("await pipeline(['a', 'b'], x => agent('read ' + x), (r, x) => x === 'b' ? agent(`edit ${r}`) : r)"), @r"
    t0 read a | in g0 | Unknown
    t1 read b | in g0
    t2 edit {{t1}} | after t1 | reads t1 | in g0 | Unknown
    g0 Pipeline of 2, line 1
    ");
}

#[test]
fn promises_of_the_scripts_own_are_seen_through() {
    // A hand-written barrier, hand-written chains, and a promise that is not awaited.
    insta::assert_snapshot!(traced("const [a, b] = await Promise.all([agent('a'), agent('b')])\nreturn agent(`join ${a} ${b}`)"), @r"
    t0 a
    t1 b
    t2 join {{t0}} {{t1}} | after t0 t1 | reads t0 t1
    spoiled, line 2: `null` in: join null null
    returned: t2
    ");
    insta::assert_snapshot!(traced("const chain = x => agent(x).then(r => agent('then ' + r))\nreturn Promise.all(['a', 'b'].map(chain))"), @r"
    t0 a
    t1 b
    t2 then {{t0}} | after t0 | reads t0
    t3 then {{t1}} | after t1 | reads t1
    spoiled, line 1: `null` in: then null
    returned: t2 t3
    ");
    insta::assert_snapshot!(traced("const chain = (x, i) => agent(x).then(r => i ? agent('then ' + r) : r)\nreturn Promise.all(['a', 'b'].map(chain))"), @r"
    t0 a
    t1 b
    t2 then {{t1}} | after t1 | reads t1
    spoiled, line 1: `null` in: then null
    returned: t0 t2
    ");
    insta::assert_snapshot!(traced("agent('beside')\nawait agent('a')\nreturn agent('b')"), @r"
    t0 beside | Unawaited
    t1 a | Unread
    t2 b | after t1
    returned: t2
    ");
}

#[test]
fn one_after_the_other() {
    insta::assert_snapshot!(traced("const build = await agent('build')\nawait agent('test')\nlog(build)\nreturn agent('deploy', { context: build })"), @r"
    t0 build
    t1 test | after t0 | Unread
    t2 deploy | after t1 | reads t0
    returned: t2
    ");
}

#[test]
fn lists_of_results_are_guesses() {
    let flow = "const found = await agent('find', { schema: list('files') })\nconst r = await parallel(found.files.map(f => () => agent('read ' + f)))\nawait gather('join', r)\nfor (const file of found.files) await agent('write ' + file)";
    insta::assert_snapshot!(traced(&format!("{SCHEMAS}\n{flow}")), @r"
    t0 find
    t1 read {{t0}} | after t0 | reads t0 | in g0
    t2 read {{t0}} | after t0 | reads t0 | in g0
    t3 read {{t0}} | after t0 | reads t0 | in g0
    t4 join⏎⏎## part 1⏎⏎{{t1}}⏎⏎## part 2⏎⏎{{t2}}⏎⏎## part 3⏎⏎{{t3}} | after t1 t2 t3 | reads t1 t2 t3 | Unread
    t5 write {{t0}} | after t4 | reads t0 | Unread
    t6 write {{t0}} | after t5 | reads t0 | Unread
    t7 write {{t0}} | after t6 | reads t0 | Unread
    g0 Parallel of 3 (a guess), line 3
    open, line 3: how many there are depends on results: 3 assumed
    open, line 5: how often it is asked depends on results
    ");
}

/// Learns from a run with a group of this width at one line, and this number of tasks at another.
fn learn(history: &mut History, group: (u32, u32), tasks: (u32, u32)) {
    use divisi_core::event::{CallSite, Edges, GroupBegan, TaskFacts, TaskSubmitted};
    use divisi_core::{Content, Digest, Event, Key, Position, Recorded, TaskId, Timestamp};
    let text = || Content::Inline("1".into());
    let site = |line| {
        Some(CallSite {
            script: None,
            line,
            column: 1,
        })
    };
    let began = GroupBegan {
        group: 0,
        kind: divisi_core::event::GroupKind::Parallel,
        parent: None,
        width: group.1,
        site: site(group.0),
    };
    let submitted = |number: u32| {
        Event::TaskSubmitted(Box::new(TaskSubmitted {
            task: TaskId(number),
            key: Key(Digest::of(&number.to_le_bytes())),
            occurrence: 0,
            facts: TaskFacts::default().into(),
            spec: text(),
            edges: Edges {
                site: site(tasks.0),
                groups: (number == 0).then(|| began.clone()).into_iter().collect(),
                ..Edges::default()
            },
        }))
    };
    let ended = Event::FlowEnded { result: Ok(text()) };
    let events = (0..tasks.1).map(submitted).chain([ended]);
    let recorded = events.enumerate().map(|(at, event)| Recorded {
        position: Position(at as u64),
        at: Timestamp(at as u64),
        event,
    });
    history.learn(&recorded.collect::<Vec<_>>());
}

#[test]
fn lists_are_as_long_and_loops_as_often_as_in_past_runs() {
    let flow = "const found = await agent('find', { schema: list('files') })\nawait parallel(found.files.map(f => () => agent('read ' + f)))\nconst seen = new Set()\nwhile (true) {\n  const { names } = await agent('look for more', { schema: list('names'), required: true })\n  if (names.length === 0) break\n}";
    let folder = tempfile::tempdir().unwrap();
    let flow = Flow::script("flow.js", format!("{SCHEMAS}\n{flow}"));
    let mut history = History::default();
    (0..13).for_each(|_| learn(&mut history, (3, 7), (6, 9)));
    let limits = TraceLimits::default();
    let graph = trace_after(&flow, setup(folder.path()), &limits, &history).unwrap();
    let count = |what: &str| {
        graph
            .tasks
            .iter()
            .filter(|node| node.task.prompt.starts_with(what))
            .count()
    };
    assert_eq!((count("read"), count("look")), (7, 9), "{}", shown(&graph));
    let guesses: Vec<_> = graph
        .guesses
        .iter()
        .map(|guess| {
            (
                guess.tasks.len(),
                guess.counted,
                guess.seen.len(),
                guess.repeats,
            )
        })
        .collect();
    assert_eq!(guesses, [(7, 7, 13, false), (9, 9, 13, true)]);
    assert!(
        graph
            .open
            .iter()
            .all(|open| open.what.ends_with("as in past runs"))
    );
}

#[test]
fn what_the_author_expects_is_no_guess() {
    let flow = "const found = await agent('find', { schema: list('files'), expect: { files: 2 } })\nreturn parallel(found.files.map(f => () => agent('read ' + f)))";
    insta::assert_snapshot!(traced(&format!("{SCHEMAS}\n{flow}")), @r"
    t0 find
    t1 read {{t0}} | after t0 | reads t0 | in g0
    t2 read {{t0}} | after t0 | reads t0 | in g0
    g0 Parallel of 2 (expected), line 3
    returned: t1 t2
    ");
}

#[test]
fn a_loop_until_dry_ends() {
    let flow = "const seen = new Set()\nwhile (true) {\n  const { names } = await agent('look for more than ' + seen.size, { schema: list('names'), required: true })\n  const fresh = names.filter(name => !seen.has(name))\n  if (fresh.length === 0) break\n  fresh.forEach(name => seen.add(name))\n}\nreturn [...seen]";
    insta::assert_snapshot!(traced(&format!("{SCHEMAS}\n{flow}")), @r"
    t0 look for more than 0
    t1 look for more than 3 | after t0
    t2 look for more than 6 | after t1
    t3 look for more than 9 | after t2
    open, line 4: how often it repeats depends on results: 4 rounds assumed
    returned: t0 t1 t2
    ");
}

/// A loop with two finders that ends after two rounds without new names. `head` begins it.
fn finders(head: &str) -> String {
    format!(
        "{SCHEMAS}\nconst seen = new Set()\nlet dry = 0, turn = 0\n{head} {{\n  turn += 1\n  const found = await parallel(['odd', 'even'].map(part => () => agent('look through part ' + part, {{ label: 'finder of ' + part, schema: list('names') }})))\n  const fresh = found.filter(Boolean).flatMap(one => one.names).filter(name => !seen.has(name))\n  fresh.forEach(name => seen.add(name))\n  dry = fresh.length > 0 ? 0 : dry + 1\n}}\nreturn [...seen]"
    )
}

#[test]
fn a_loop_with_several_finders_ends_too() {
    let graph = |head| {
        graph_of(
            &Flow::script("flow.js", finders(head)),
            &TraceLimits::default(),
        )
    };
    let free = graph("while (dry < 2)");
    assert_eq!(free.tasks.len(), 10, "{}", shown(&free));
    let said = "how often it repeats depends on results: 5 rounds assumed";
    assert_eq!(free.open[0].what, said);
    let bounded = graph("while (dry < 2 && turn < 8)");
    assert_eq!(bounded.tasks.len(), 10, "{}", shown(&bounded));
    assert_eq!(bounded.open[0].what, format!("{said}, 8 at most"));
    assert!(bounded.guesses.iter().all(|guess| guess.most == Some(8)));
}

#[test]
fn results_that_only_decide_something_are_read() {
    let object = "const object = properties => ({ type: 'object', properties, required: Object.keys(properties) });";
    let used = |flow: &str| {
        let source = format!("{object}\n{SCHEMAS}\n{flow}");
        let graph = graph_of(&Flow::script("flow.js", source), &TraceLimits::default());
        let facts = graph
            .tasks
            .iter()
            .map(|node| (node.used, node.decides_from));
        facts.collect::<Vec<_>>()
    };
    let vote = "const votes = await parallel([1, 2].map(n => () => agent('vote ' + n, { schema: object({ keep: { type: 'boolean' } }) })))\nreturn votes.filter(vote => vote?.keep).length > 1 ? 'kept' : 'dropped'";
    assert_eq!(used(vote), [(Use::Read, Some(2)); 2]);
    let ids = "const judged = await agent('judge', { schema: object({ rulings: { type: 'array', items: object({ id: { type: 'string' }, holds: { type: 'boolean' } }) } }) })\nreturn ['A', 'B'].filter(id => judged.rulings.some(ruling => ruling.id === id && ruling.holds))";
    assert_eq!(used(ids), [(Use::Read, Some(1))]);
    let names = "const bad = await agent('which are bad?', { schema: list('names') })\nreturn agent('write about ' + ['x', 'y'].filter(name => !bad.names.includes(name)).join())";
    assert_eq!(used(names)[0], (Use::Read, Some(1)));
    let thin = "let text = ''\nfor (let i = 0; i < 2; i++) {\n  const r = await agent('report', { schema: object({ text: { type: 'string' } }) })\n  if (r.text.length > 400) { text = r.text; break }\n}\nreturn text.slice(0, 0)";
    assert_eq!(used(thin)[0], (Use::Read, Some(1)));
}

/// The phases of the planned tasks, and those without one, with the reason.
fn phases(flow: &str, args: Option<serde_json::Value>) -> (Vec<String>, Vec<String>) {
    let source = format!(
        "const object = properties => ({{ type: 'object', properties, required: Object.keys(properties) }})\n{SCHEMAS}\n{flow}"
    );
    let flow = Flow {
        args,
        ..Flow::script("flow.js", source)
    };
    let graph = graph_of(&flow, &TraceLimits::default());
    let mut planned: Vec<String> = vec![];
    for phase in graph
        .tasks
        .iter()
        .filter_map(|node| node.task.phase.as_deref())
    {
        if !planned.iter().any(|known| known == phase) {
            planned.push(phase.to_owned());
        }
    }
    let unreached = graph.unreached.iter();
    let told = unreached.map(|phase| format!("{}: {}", phase.phase, phase.why));
    (planned, told.collect())
}

#[test]
fn placeholders_pass_the_tests_that_a_flow_makes_of_texts() {
    let reached = |flow: &str| {
        let (planned, unreached) = phases(flow, None);
        assert_eq!(unreached, [""; 0], "{flow}");
        planned
    };
    let folder = "phase('List')\nconst { files } = await agent('list', { schema: list('files') })\nconst own = files.filter(file => file.startsWith('lib/') && /\\.rs$/.test(file))\nif (own.length === 0) return\nphase('Mend')\nawait parallel(own.map(file => () => agent('mend ' + file)))";
    assert_eq!(reached(folder), ["List", "Mend"]);
    let team = "const KNOWN = new Map([['tester', 1], ['writer', 2]])\nphase('Pick')\nconst { who } = await agent('pick', { schema: object({ who: { type: 'string' } }) })\nif (!KNOWN.has(who)) return 'unknown'\nphase('Work')\nreturn agent('work as ' + who)";
    assert_eq!(reached(team), ["Pick", "Work"]);
    let word = "phase('Judge')\nconst verdict = await agent('judge', { schema: object({ grade: { type: 'string' } }) })\nif (verdict.grade !== 'good') return\nphase('Ship')\nreturn agent('ship')";
    assert_eq!(reached(word), ["Judge", "Ship"]);
    let ids = "const all = [{ id: 'K7' }, { id: 'K9' }]\nphase('Judge')\nconst { rulings } = await agent('judge ' + JSON.stringify(all), { schema: object({ rulings: { type: 'array', items: object({ id: { type: 'string' } }) } }) })\nconst mine = all.filter(one => rulings.some(ruling => ruling.id === one.id))\nif (mine.length === 0) return\nphase('Act')\nreturn agent('act on ' + mine.length)";
    assert_eq!(reached(ids), ["Judge", "Act"]);
    let roles = "phase('Hire')\nconst { jobs } = await agent('Choose among cook, baker and waiter', { schema: object({ jobs: { type: 'array', items: object({ role: { type: 'string' } }) } }) })\nconst job = role => jobs.find(one => one.role === role)\nif (job('baker')) await agent('bake', { phase: 'Bake' })\nif (job('waiter')) await agent('serve', { phase: 'Serve' })\njob('cook')";
    assert_eq!(reached(roles), ["Hire", "Bake", "Serve"]);
    let long = "phase('Write')\nconst text = await agent('write')\nif (text.length < 300) return\nphase('Print')\nreturn agent('print ' + text)";
    assert_eq!(reached(long), ["Write", "Print"]);
}

#[test]
fn a_phase_of_another_branch_is_named_with_the_result_that_leads_there() {
    let flow = "phase('Test')\nconst { passed } = await agent('test', { schema: object({ passed: { type: 'boolean' } }) })\nif (passed) await agent('publish', { phase: 'Publish' })\nelse await agent('mend', { phase: 'Mend' })";
    assert_eq!(
        phases(flow, None),
        (
            vec!["Test".to_owned(), "Publish".to_owned()],
            vec!["Mend: only if `test` says otherwise in `passed`".to_owned()]
        )
    );
    let lost = "phase('Try')\nconst text = await agent('try')\nif (text === null) await agent('try again', { phase: 'Rescue' })";
    assert_eq!(phases(lost, None).1, ["Rescue: only if `try` fails"]);
}

#[test]
fn a_phase_that_nothing_reaches_is_named_with_the_last_task() {
    let flow = "phase('Find')\nconst { found } = await agent('find', { schema: list('found') })\nif (found.join().length !== 12345) return\nphase('Mend')\nawait agent('mend')\nif (args?.deep) await agent('dig', { phase: 'Dig' })";
    let ends = "the script ends after `find`, whatever placeholders it gets for `found`; it may need arguments";
    assert_eq!(
        phases(flow, None).1,
        [format!("Dig: {ends}"), format!("Mend: {ends}")]
    );
    let deep = phases(
        "phase('Find')\nif (args.deep) await agent('dig')",
        Some(serde_json::json!({"deep": false})),
    );
    assert_eq!(deep.1, ["Find: the script requests no task"]);
}

#[test]
fn a_missing_await_is_named() {
    insta::assert_snapshot!(traced("const text = agent('read')\nreturn agent(`use ${text}`)"), @r"
    t0 read | Unawaited
    t1 use [object Promise]
    stray, line 2: its prompt says `[object Promise]`: an `await` is missing, and a run refuses the task
    returned: t1
    ");
}

#[test]
fn a_null_that_the_script_speaks_of_is_meant() {
    let flow = "const a = await agent('read')\nreturn agent('go on. ' + (a ?? 'The reader gave null, so look yourself'))";
    let graph = graph_of(&Flow::script("flow.js", flow), &TraceLimits::default());
    assert_eq!(graph.nulls, []);
}

#[test]
fn a_loop_over_a_list_of_the_script_is_gone_through() {
    let flow = "for (const n of [1, 2, 3, 4, 5]) {\n  const { files } = await agent('look ' + n, { schema: list('files') })\n  await parallel(files.slice(0, 1).map(f => () => agent('read ' + f)))\n}";
    insta::assert_snapshot!(traced(&format!("{SCHEMAS}\n{flow}")), @r"
    t0 look 1
    t1 read {{t0}} | after t0 | reads t0 | in g0 | Unread
    t2 look 2 | after t1
    t3 read {{t2}} | after t2 | reads t2 | in g1 | Unread
    t4 look 3 | after t3
    t5 read {{t4}} | after t4 | reads t4 | in g2 | Unread
    t6 look 4 | after t5
    t7 read {{t6}} | after t6 | reads t6 | in g3 | Unread
    t8 look 5 | after t7
    t9 read {{t8}} | after t8 | reads t8 | in g4 | Unread
    g0 Parallel of 1, line 4
    g1 Parallel of 1, line 4
    g2 Parallel of 1, line 4
    g3 Parallel of 1, line 4
    g4 Parallel of 1, line 4
    ");
}

#[test]
fn a_loop_that_nothing_ends_stops_at_a_limit() {
    let limits = TraceLimits {
        tasks_max: 5,
        ..TraceLimits::default()
    };
    let flow = Flow::script(
        "flow.js",
        "while (true) {\n  if (await agent('again') === 'no') break\n}",
    );
    insta::assert_snapshot!(shown(&graph_of(&flow, &limits)), @r"
    t0 again | Unknown
    t1 again | after t0 | Unknown
    t2 again | after t1 | Unknown
    t3 again | after t2 | Unknown
    t4 again | after t3 | Unknown
    open, line 2: it asks for more than 5 tasks: the plan ends here
    ");
    let host = HostLimits {
        busy_max: std::time::Duration::from_millis(50),
        ..HostLimits::default()
    };
    let flow = Flow::script("flow.js", "await agent('a')\nfor (;;) {}");
    insta::assert_snapshot!(shown(&graph_of(&flow, &TraceLimits { host, ..TraceLimits::default() })), @r"
    t0 a | Unknown
    open, line 2: the script computes without end: the plan ends here
    ");
}

#[test]
fn flags_end_loops_too() {
    let schema = "{ type: 'object', properties: { done: { type: 'boolean' } } }";
    insta::assert_snapshot!(traced(&format!("for (let n = 0; n < 50; n++) {{\n  const r = await agent('go on', {{ schema: {schema} }})\n  if (r.done) break\n}}")), @r"
    t0 go on
    t1 go on | after t0
    t2 go on | after t1
    t3 go on | after t2
    open, line 2: how often it repeats depends on results: 4 rounds assumed, 50 at most
    ");
}

#[test]
fn a_planner_is_followed() {
    insta::assert_snapshot!(traced("const { results } = await decompose('mend it', { max: 2, gather: 'sum up' })\nreturn results"), @r"
    t0 Split this goal into tasks for agents that work at the same time:⏎⏎mend it⏎⏎Make 2 tasks at most, and only as many as help. Each agent sees its own prompt and nothing else, so write down all it has to know. Name a task under `needs` only where the work cannot start without its result, and write {{id}} in the prompt where that result belongs. No task may need itself, directly or through others.
    t1 {{t0}} | after t0 | reads t0 | in g0
    t2 {{t0}} | after t0 | reads t0 | in g0
    t3 sum up⏎⏎## part-1⏎⏎{{t1}}⏎⏎## part-2⏎⏎{{t2}} | after t1 t2 | reads t1 t2 | Unread
    g0 Decompose of 2 (a guess), line 1
    open, line 1: an agent plans the tasks: 2 assumed
    returned: t1 t2
    ");
}

#[test]
fn other_flows_are_part_of_it() {
    insta::assert_snapshot!(traced("const found = await parallel([() => workflow('inner', 'x'), () => agent('a')])\nawait workflow('nowhere').catch(() => 0)\nreturn agent('join ' + found[0])"), @r"
    t0 a | in g0 | Unread
    t1 look into x | in g0
    t2 join {{t1}} | after t0 t1 | reads t1
    g0 Parallel of 2, line 1
    spoiled, line 3: `null` in: join null
    returned: t2
    ");
}

#[test]
fn an_early_return_on_nothing_is_not_taken() {
    let flow = "const { files } = await agent('find', { schema: list('files') })\nif (files.length === 0) return 'nothing'\nreturn agent('read ' + files)";
    insta::assert_snapshot!(traced(&format!("{SCHEMAS}\n{flow}")), @r"
    t0 find
    t1 read {{t0}},{{t0}},{{t0}} | after t0 | reads t0
    returned: t1
    ");
}

#[test]
fn what_throws_gives_the_graph_up_to_there() {
    insta::assert_snapshot!(traced("const text = await agent('a')\nJSON.parse(text)\nawait agent('b')"), @r"
    t0 a | Unknown
    broke off: script `flow.js` failed at line 2: SyntaxError: Unexpected token '\u27e6' in JSON
    ");
    insta::assert_snapshot!(traced("await parallel(args.files.map(f => () => agent(f)))"), @"broke off: script `flow.js` failed at line 1: TypeError: cannot read property 'files' of undefined");
}

#[test]
fn missing_results_that_reach_a_prompt_are_found() {
    insta::assert_snapshot!(traced("const a = await agent('say null or a')\nconst b = await agent('b')\nif (!b) return\nreturn agent(`null means nothing. join ${a} and ${b}`)"), @r"
    t0 say null or a
    t1 b | after t0
    t2 null means nothing. join {{t0}} and {{t1}} | after t1 | reads t0 t1
    spoiled, line 4: `null` in: null means nothing. join null and …
    returned: t2
    ");
    insta::assert_snapshot!(traced("const a = await agent('a')\nreturn agent(`use ${a ?? 'nothing'}`)"), @r"
    t0 a
    t1 use {{t0}} | after t0 | reads t0
    returned: t1
    ");
}

#[test]
fn wrong_words_of_the_flow_itself_are_open() {
    let flow = "await agent(`look into ${args?.module} for undefined behaviour`)\nconst found = await agent('find', { schema: list('files') })\nawait agent(`use ${found}`)\nawait agent('undefined behaviour is fine')";
    insta::assert_snapshot!(traced(&format!("{SCHEMAS}\n{flow}")), @r"
    t0 look into undefined for undefined behaviour | Unread
    t1 find | after t0
    t2 use [object Object] | after t1 | Unread
    t3 undefined behaviour is fine | after t2 | Unread
    stray, line 2: its prompt says `undefined` where something else is meant, it seems
    stray, line 4: its prompt says `[object Object]` in the place of an object, and a run refuses the task
    spoiled, line 4: `null` in: use null
    ");
}

#[test]
fn a_synthesis_that_is_not_told_what_is_missing_is_found() {
    let flow = |join: &str| {
        format!("const r = await parallel(['a', 'b', 'c'].map(x => () => agent(x)))\nreturn {join}")
    };
    let uninformed = |join: &str| {
        graph_of(
            &Flow::script("flow.js", flow(join)),
            &TraceLimits::default(),
        )
        .uninformed
    };
    assert_eq!(
        uninformed("agent('join ' + r.filter(Boolean).join(' '))"),
        [3]
    );
    assert_eq!(uninformed("gather('join', r)"), [0; 0]);
    assert_eq!(
        uninformed("agent('join ' + r.map(x => x ?? '(missing)').join(' '))"),
        [0; 0]
    );
    assert_eq!(
        uninformed("agent(`join ${r.filter(Boolean).length} of 3: ${r.filter(Boolean)}`)"),
        [0; 0]
    );
    // No task is requested when something is missing.
    assert_eq!(
        uninformed("r.every(Boolean) ? agent('join ' + r.join(' ')) : 'no'"),
        [0; 0]
    );
}

#[test]
fn results_that_leave_no_trace_are_not_called_unread() {
    let schema = "{ type: 'object', properties: { ok: { type: 'boolean' } } }";
    insta::assert_snapshot!(traced(&format!("await agent('check', {{ schema: {schema} }})\nconst r = await agent('look')\nif (!r) return 'nothing'\nawait agent('unread')\nreturn 1")), @r"
    t0 check | Unread
    t1 look | after t0 | Unknown
    t2 unread | after t1 | Unread
    ");
}

#[test]
fn the_words_of_a_task_are_resolved() {
    let source = "await agent('a')\nawait agent('b', { model: 'haiku', timeout: '5m', retries: 1, tools: [], maxTurns: 3 })\nawait agent('c', { model: 'gpt' })\nawait agent('d', { agentType: 'Explore' })\nawait agent('e', { inputs: [await agent('which file?')] })\nawait agent('f', { context: 'x'.repeat(300) })";
    let graph = graph_of(&Flow::script("flow.js", source), &TraceLimits::default());
    let assigned = |node: &divisi_core::preflight::Node| match &node.assigned {
        Ok(a) => {
            let rungs: Vec<_> = a
                .rungs
                .iter()
                .map(|rung| format!("{} {:?}", rung.model, rung.tier))
                .collect();
            format!(
                "{} | {} | {} | tools {} | {} turns, {} retries, {} | shared {}",
                a.executor,
                rungs.join(" "),
                a.why,
                a.has_tools,
                a.turns_max,
                a.retries_max,
                a.timeout.0,
                a.shared_tokens
            )
        }
        Err(failure) => failure.message.clone(),
    };
    insta::assert_snapshot!(graph.tasks.iter().map(assigned).collect::<Vec<_>>().join("\n"), @r"
    api | s Some(Sonnet) | the run's model | tools true | 50 turns, 4 retries, 1800000 | shared 0
    api | h Some(Haiku) | the flow asks for haiku | tools false | 3 turns, 1 retries, 300000 | shared 0
    provider `scripted` knows no model `gpt`
    api | h Some(Haiku) | the definition of `Explore` says haiku | tools true | 50 turns, 4 retries, 1800000 | shared 0
    api | s Some(Sonnet) | the run's model | tools true | 50 turns, 4 retries, 1800000 | shared 0
    api | s Some(Sonnet) | the run's model | tools true | 50 turns, 4 retries, 1800000 | shared 0
    api | s Some(Sonnet) | the run's model | tools true | 50 turns, 4 retries, 1800000 | shared 176
    ");
    let tokens: Vec<u64> = graph
        .tasks
        .iter()
        .filter_map(|node| Some(node.assigned.as_ref().ok()?.prompt_tokens))
        .collect();
    // Tools are most of a short request; the context counts in full.
    assert!(tokens[0] > tokens[1] + 500, "{tokens:?}");
    assert_eq!(tokens[5], tokens[0] + 176);
}

#[test]
fn a_thousand_tasks_are_asked_for_a_bounded_number_of_times() {
    let source = "export const meta = { name: 'm', description: 'd', maxAgents: 2000 }\nconst r = await parallel(Array.from({ length: 1000 }, (_, i) => () => agent('read ' + i)))\nreturn agent('join ' + r)";
    let graph = graph_of(&Flow::script("flow.js", source), &TraceLimits::default());
    assert_eq!(graph.tasks.len(), 1001);
    assert_eq!(graph.tasks[1000].waits.len(), 1000);
    assert_eq!(graph.tasks[1000].reads.len(), 1000);
    assert_eq!(graph.uninformed, [1000]);
}
