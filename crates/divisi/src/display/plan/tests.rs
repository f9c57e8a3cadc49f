//! What plans look like.

use super::{dot, json, svg, tree};
use crate::display::Look;
use crate::display::readable::Readable;
use divisi_core::preflight::Graph;
use divisi_engine::preflight::{TraceLimits, trace};
use divisi_engine::{Flow, Models, ProviderModels, Setup};
use divisi_providers::Scripted;
use std::sync::Arc;

const LOOK: Look = Look {
    color: false,
    unicode: true,
    width: 160,
    demo: false,
};

fn graph_of(source: &str, args: serde_json::Value) -> Graph {
    let tiers = [
        ("haiku", "small-1"),
        ("sonnet", "middle-1"),
        ("opus", "large-1"),
    ];
    let models = ProviderModels::new(Arc::new(Scripted::demo()), &tiers, &[]);
    let models = Models {
        default: "sonnet".into(),
        provider: "demo".into(),
        providers: [("demo".to_owned(), models)].into(),
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("flows")).unwrap();
    std::fs::write(folder.path().join("flows/inner.js"), INNER).unwrap();
    let setup = Arc::new(Setup::new(models, folder.path()));
    trace(
        &Flow::script("flow.js", source).args(args),
        setup,
        &TraceLimits::default(),
    )
    .unwrap()
}

const INNER: &str = "export const meta = { name: 'inner', description: 'd' }\nphase('Look')\nreturn parallel(args.map(x => () => agent('look into ' + x, { label: 'look ' + x })))";

fn page(source: &str) -> String {
    page_with(source, serde_json::Value::Null)
}

fn page_with(source: &str, args: serde_json::Value) -> String {
    tree::render(&graph_of(source, args), None, false, &LOOK)
}

const FIND: &str = "const found = await agent('find files', { label: 'find', model: 'haiku', schema: { type: 'object', properties: { files: { type: 'array', items: { type: 'string' } } }, required: ['files'] }, required: true })\n";

#[test]
fn this_repositorys_flows() {
    insta::assert_snapshot!(page(include_str!("../../../../../flows/review.js")), @r"
    flow.js · 29 tasks · 3 waves

    Review
      pipeline ×7  flow.js:83
        crates/… ×7        middle-1 (the flow asks for sonnet)
        parallel ×3 assumed, 7 times  flow.js:84
          crates/…: … ×21  small-1 (the flow asks for haiku) · phase Check · reads crates/… ×7
    Plan
      plan                 large-1 (the flow asks for opus) · reads crates/… ×7

    Waves  7, 21, 1
    Longest chain  3 steps: crates/divisi-core → crates/divisi-core: … → plan

    Not known before the run
      how many there are depends on results: 3 assumed  flow.js:84
      no task is planned in Find: only with other arguments, it seems  flow.js:60
    ");
    let files = serde_json::json!({ "files": ["a.rs", "b.rs", "c.rs"] });
    insta::assert_snapshot!(page_with(include_str!("../../../tests/flows/whole.js"), files), @r"
    flow.js · 14 tasks · 6 waves

    Audit
      pipeline ×3  flow.js:10
        audit ….rs ×3    small-1 (the flow asks for haiku)
        extract ….rs ×3  small-1 (the flow asks for haiku) · phase Extract · reads audit ….rs ×3
        verify ….rs ×3   middle-1 (the run's model) · phase Verify · reads extract ….rs ×3
    Decompose
      plan               large-1 (the flow asks for opus)
      decompose ×3 assumed  flow.js:17
        part-… ×3        small-1 (the flow asks for haiku) · reads plan
    Report
      gather             large-1 (the flow asks for opus) · reads verify ….rs ×3

    Waves  3, 3, 3, 1, 3, 1
    Longest chain  6 steps: audit a.rs → extract a.rs → verify a.rs → plan → part-1 → gather

    Not known before the run
      an agent plans the tasks: 3 assumed  flow.js:17
    ");
    insta::assert_snapshot!(page(include_str!("../../commands/init/audit.js")), @r"
    flow.js · 5 tasks · 3 waves

    Audit
      pipeline ×1  flow.js:33
        audit src     middle-1 (the flow asks for sonnet)
        parallel ×3 assumed  flow.js:44
          check … ×3  middle-1 (the flow asks for sonnet) · phase Check · reads audit src
    Report
      gather          large-1 (the flow asks for opus) · reads audit src, check … ×3

    Waves  1, 3, 1
    Longest chain  3 steps: audit src → check … → gather

    Not known before the run
      how many there are depends on results: 3 assumed  flow.js:44
    ");
}

#[test]
fn a_barrier() {
    insta::assert_snapshot!(page(&format!("{FIND}const read = await parallel(found.files.map(f => () => agent('read ' + f, {{ label: 'read ' + f }})))\nreturn agent('join ' + read, {{ label: 'join' }})")), @r"
    flow.js · 5 tasks · 3 waves

    find         small-1 (the flow asks for haiku)
    parallel ×3 assumed  flow.js:2
      read … ×3  middle-1 (the run's model) · reads find
    join         middle-1 (the run's model) · reads read … ×3

    Waves  1, 3, 1
    Longest chain  3 steps: find → read … → join

    Not known before the run
      how many there are depends on results: 3 assumed  flow.js:2
    ");
}

#[test]
fn a_pipeline() {
    insta::assert_snapshot!(page("return pipeline(['a', 'b'],\n  x => agent('read ' + x, { label: 'read ' + x, phase: 'Read' }),\n  (r, x) => agent('edit ' + r, { label: 'edit ' + x, phase: 'Edit', model: 'opus' }),\n  (r, x) => parallel([1, 2].map(n => () => agent(`test ${n} of ${r}`, { label: `test ${x} ${n}`, phase: 'Test' }))))"), @r"
    flow.js · 8 tasks · 3 waves

    Read
      pipeline ×2  flow.js:1
        read … ×2    middle-1 (the run's model)
        edit … ×2    large-1 (the flow asks for opus) · phase Edit · reads read … ×2
        parallel ×2, 2 times  flow.js:4
          test … ×4  middle-1 (the run's model) · phase Test · reads edit … ×2

    Waves  2, 2, 4
    Longest chain  3 steps: read a → edit a → test a 1
    ");
}

#[test]
fn a_loop_until_dry() {
    insta::assert_snapshot!(page("const seen = []\nfor (;;) {\n  const r = await agent('more than ' + seen, { label: 'round ' + seen.length, schema: { type: 'object', properties: { names: { type: 'array', items: { type: 'string' } } } } })\n  if (!r?.names?.length) break\n  seen.push(...r.names)\n}\nreturn seen"), @r"
    flow.js · 4 tasks · 4 waves

    round … ×4  middle-1 (the run's model)

    Waves  1, 1, 1, 1
    Longest chain  4 steps: round 0 → round 3 → round 6 → round 9

    Not known before the run
      how often it repeats depends on results: 4 rounds assumed  flow.js:3
    ");
}

#[test]
fn a_planner() {
    insta::assert_snapshot!(page("phase('Work')\nreturn decompose('mend it', { planner: 'opus', worker: 'haiku', gather: true })"), @r"
    flow.js · 5 tasks · 3 waves

    Work
      plan         large-1 (the flow asks for opus)
      decompose ×3 assumed  flow.js:2
        part-… ×3  small-1 (the flow asks for haiku) · reads plan
      gather       middle-1 (the run's model) · reads part-… ×3

    Waves  1, 3, 1
    Longest chain  3 steps: plan → part-1 → gather

    Not known before the run
      an agent plans the tasks: 3 assumed  flow.js:2
    ");
}

#[test]
fn a_nested_flow() {
    insta::assert_snapshot!(page("const r = await workflow('inner', ['a', 'b'])\nphase('End')\nreturn agent('join ' + r)"), @r"
    flow.js · 3 tasks · 2 waves

    ▸ inner: Look
      parallel ×2  inner.js:3
        look … ×2  middle-1 (the run's model)
    End
      join …       middle-1 (the run's model) · reads look … ×2

    Waves  2, 1
    Longest chain  2 steps: look a → join …
    ");
}

#[test]
fn promises_of_the_scripts_own() {
    insta::assert_snapshot!(page("const r = await Promise.all(['a', 'b', 'c'].map(x => agent('look into ' + x, { label: x })))\nreturn agent('join ' + r, { model: 'gpt' })"), @r"
    flow.js · 4 tasks · 2 waves

    a, … ×3  middle-1 (the run's model)
    join …   ✗ provider `scripted` knows no model `gpt` · reads a, … ×3

    Waves  3, 1
    Longest chain  2 steps: a → join …
    ");
}

#[test]
fn an_early_return_and_a_thrown_error() {
    insta::assert_snapshot!(page("if (!args?.files?.length) return 'nothing'\nawait agent('a')"), @r"
    flow.js · 0 tasks · 0 waves

    It has no tasks. Does it need arguments?
    ");
    insta::assert_snapshot!(page("await agent('a')\nawait agent(args.files[0])"), @r"
    flow.js · 1 task · 1 wave

    a  middle-1 (the run's model)

    The plan ends early: script `flow.js` failed at line 2: TypeError: cannot read property 'files' of null
      In a plan results are placeholders that fit their schemas, and `args` is what the command gives.
    ");
}

#[test]
fn every_task() {
    let source = format!(
        "{FIND}const read = await parallel(Array.from({{ length: 8 }}, (_, i) => () => agent(`read ${{i}}`)))\nreturn agent('join ' + read, {{ label: 'join' }})"
    );
    insta::assert_snapshot!(tree::render(&graph_of(&source, serde_json::Value::Null), None, true, &LOOK), @r"
    flow.js · 10 tasks · 3 waves

    t0  find  small-1 (the flow asks for haiku)  flow.js:1
    t1  read 0  middle-1 (the run's model) · after t0  flow.js:2
    t2  read 1  middle-1 (the run's model) · after t0  flow.js:2
    t3  read 2  middle-1 (the run's model) · after t0  flow.js:2
    t4  read 3  middle-1 (the run's model) · after t0  flow.js:2
    t5  read 4  middle-1 (the run's model) · after t0  flow.js:2
    t6  read 5  middle-1 (the run's model) · after t0  flow.js:2
    t7  read 6  middle-1 (the run's model) · after t0  flow.js:2
    t8  read 7  middle-1 (the run's model) · after t0  flow.js:2
    t9  join  middle-1 (the run's model) · after t1 t2 t3 t4 t5 t6 … (8) · reads t1 t2 t3 t4 t5 t6 … (8)  flow.js:3

    Waves  1, 8, 1
    Longest chain  3 steps: find → read 0 → join
    ");
}

#[test]
fn a_page_in_ascii() {
    let look = Look {
        unicode: false,
        ..LOOK
    };
    let graph = graph_of(
        "const r = await parallel([1, 2].map(n => () => agent('read ' + n)))\nreturn agent('join ' + r)",
        serde_json::Value::Null,
    );
    let page = tree::render(&graph, None, false, &look);
    assert!(page.is_ascii(), "{page}");
}

fn drawn() -> Graph {
    graph_of(
        &format!(
            "{FIND}const read = await parallel(found.files.map(f => () => agent('read <' + f, {{ label: 'read \"' + f + '\"' }})))\nawait agent('check')\nreturn agent('join ' + read, {{ label: 'join' }})"
        ),
        serde_json::Value::Null,
    )
}

#[test]
fn for_graphviz() {
    insta::assert_snapshot!(dot::render(&drawn()), @r#"
    digraph "flow.js" {
      rankdir=LR
      node [shape=box, style=rounded]
      s0 [label="find\nsmall-1"]
      s1 [label="read \"…\" ×3\nmiddle-1"]
      s2 [label="check\nmiddle-1"]
      s3 [label="join\nmiddle-1"]
      s0 -> s1
      s1 -> s2 [style=dashed]
      s1 -> s3
      s2 -> s3 [style=dashed]
    }
    "#);
}

#[test]
fn a_drawing() {
    let drawing = svg::render(&drawn()).unwrap();
    assert_eq!(
        drawing.matches("<rect").count(),
        4,
        "alike tasks are one box"
    );
    insta::assert_snapshot!(drawing.lines().filter(|line| line.starts_with("<text") || line.starts_with("<path")).collect::<Vec<_>>().join("\n"), @r#"
    <path class="read" marker-end="url(#end)" d="M87.1 39.0L112.1 39.0L137.1 39.0"/>
    <path class="wait" marker-end="url(#end)" d="M237.4 53.3L262.4 60.5L287.4 60.5"/>
    <path class="read" marker-end="url(#end)" d="M237.4 24.7L262.4 17.5L326.6 17.5L390.8 17.5L415.8 25.9"/>
    <path class="wait" marker-end="url(#end)" d="M365.8 60.5L390.8 60.5L415.8 52.1"/>
    <text x="51.5" y="36.3">find</text>
    <text class="model" x="51.5" y="53.4">small-1</text>
    <text x="187.2" y="36.3">read &quot;…&quot; ×3</text>
    <text class="model" x="187.2" y="53.4">middle-1</text>
    <text x="326.6" y="57.8">check</text>
    <text class="model" x="326.6" y="74.9">middle-1</text>
    <text x="455.0" y="36.3">join</text>
    <text class="model" x="455.0" y="53.4">middle-1</text>
    "#);
}

#[test]
fn a_drawing_of_much_stays_small() {
    let graph = graph_of(
        "const r = await parallel(Array.from({ length: 500 }, (_, i) => () => agent('read ' + i)))\nreturn agent('join ' + r)",
        serde_json::Value::Null,
    );
    assert_eq!(svg::render(&graph).unwrap().matches("<rect").count(), 2);
    assert_eq!(
        svg::render(&Graph::default())
            .unwrap()
            .matches("<rect")
            .count(),
        0
    );
}

#[test]
fn for_programs() {
    let graph = graph_of(
        "const a = await agent('a', { label: 'first', phase: 'One', model: 'haiku', tools: [] })\nawait parallel([() => agent('b ' + a, { model: 'gpt' })])",
        serde_json::Value::Null,
    );
    let plan = json::PlanForm::new(&graph, None, None);
    insta::assert_snapshot!(serde_json::to_string_pretty(&Readable(&plan)).unwrap(), @r#"
    {
      "version": 3,
      "name": "flow.js",
      "tasks": [
        {
          "id": "t0",
          "title": "first",
          "prompt": "a",
          "label": "first",
          "phase": "One",
          "model": "haiku",
          "tools": [],
          "site": {
            "script": "flow.js",
            "line": 1
          },
          "wave": 0,
          "waits": [],
          "reads": [],
          "group": null,
          "used": "read",
          "assigned": {
            "executor": "api",
            "kind": "general",
            "kind_declared": false,
            "suffices": "sonnet",
            "rungs": [
              {
                "provider": "demo",
                "model": "small-1",
                "tier": "haiku",
                "price": null
              }
            ],
            "why": "the flow asks for haiku",
            "checked": false,
            "prompt_tokens": 181,
            "shared_tokens": 0,
            "has_tools": false,
            "reply_tokens_max": 16384,
            "turns_max": 50,
            "retries_max": 4,
            "timeout": 1800000
          }
        },
        {
          "id": "t1",
          "title": "b {{t0}}",
          "prompt": "b {{t0}}",
          "model": "gpt",
          "site": {
            "script": "flow.js",
            "line": 2
          },
          "wave": 1,
          "waits": [
            "t0"
          ],
          "reads": [
            "t0"
          ],
          "group": "g0",
          "used": "unread",
          "error": {
            "class": "unavailable",
            "message": "provider `scripted` knows no model `gpt`",
            "hint": "it has haiku (small-1), opus (large-1), sonnet (middle-1), and ids like "
          }
        }
      ],
      "groups": [
        {
          "id": "g0",
          "kind": "parallel",
          "width": 1,
          "guessed": false,
          "byResult": false,
          "site": {
            "script": "flow.js",
            "line": 2
          },
          "parent": null
        }
      ],
      "waves": [
        [
          "t0"
        ],
        [
          "t1"
        ]
      ],
      "longestChain": [
        "t0",
        "t1"
      ],
      "returned": [],
      "open": [],
      "unreached": [],
      "strays": [],
      "nulls": [
        {
          "label": "b null",
          "site": {
            "script": "flow.js",
            "line": 2
          },
          "word": "null",
          "excerpt": "b null"
        }
      ],
      "uninformed": [],
      "checkedByFunctions": [],
      "phaseCaps": {},
      "warnings": [],
      "brokeOff": null,
      "forecast": null,
      "simulation": null
    }
    "#);
}
