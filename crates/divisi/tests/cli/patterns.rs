//! The four patterns on the command line.

use crate::home::Home;

#[test]
fn map_answers_each_item_under_its_name() {
    let home = Home::with("notes.txt", "remember the milk\n");
    let said = home.ends(
        0,
        &[
            "map",
            "Look at the {} module",
            "auth",
            "payment",
            "--demo",
            "-q",
        ],
    );
    assert!(
        said.stdout
            .starts_with("## auth\n\n[scripted demo-sonnet] "),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("\n\n## payment\n\n"),
        "{}",
        said.stdout
    );
    let said = home.ends(
        0,
        &[
            "map",
            "Summarize: {}",
            "notes.txt",
            "--files",
            "--demo",
            "-q",
        ],
    );
    assert!(said.stdout.starts_with("## notes.txt\n"), "{}", said.stdout);
    let task = home.ends(0, &["show", "last", "t0"]).stdout;
    assert!(task.contains("Summarize: remember the milk"), "{task}");
}

#[test]
fn map_takes_items_from_stdin_and_a_schema_from_a_file() {
    let schema = r#"{"type": "object", "properties": {"grade": {"enum": ["good", "bad"]}}, "required": ["grade"]}"#;
    let home = Home::with("grade.json", schema);
    let said = home.ends_with(
        0,
        &[
            "map",
            "Grade {}",
            "-",
            "--schema",
            "grade.json",
            "--demo",
            "-q",
        ],
        "auth\nuser\n",
    );
    insta::assert_snapshot!(said.stdout, @r#"
    [
      {
        "item": "auth",
        "result": {
          "grade": "good"
        }
      },
      {
        "item": "user",
        "result": {
          "grade": "good"
        }
      }
    ]
    "#);
}

#[test]
fn map_gathers_into_one_answer() {
    let home = Home::new();
    let args = [
        "map",
        "Review {}",
        "a",
        "b",
        "--gather",
        "Make one plan",
        "--gather-model",
        "opus",
        "--demo",
        "-q",
    ];
    assert!(
        home.ends(0, &args)
            .stdout
            .starts_with("[scripted demo-opus] ")
    );
    let run = home.ends(0, &["show", "last"]).stdout;
    for part in ["Map  2 ok", "Gather  1 ok"] {
        assert!(run.contains(part), "{part}\n{run}");
    }
}

#[test]
fn pipe_gives_each_step_the_result_of_the_one_before() {
    let home = Home::new();
    home.ends(
        0,
        &[
            "pipe",
            "Build it",
            "Test it",
            "Write notes from: {}",
            "--demo",
            "-q",
        ],
    );
    let second = home.ends(0, &["show", "last", "t1"]).stdout;
    assert!(second.contains("Test it"), "{second}");
    assert!(second.contains("Result of the step before:"), "{second}");
    let third = home.ends(0, &["show", "last", "t2"]).stdout;
    assert!(
        third.contains("Write notes from: [scripted demo-sonnet]"),
        "{third}"
    );
}

#[test]
fn decompose_plans_and_works() {
    let home = Home::new();
    let said = home.ends(
        0,
        &[
            "decompose",
            "Find what matters and audit it",
            "--demo",
            "-q",
        ],
    );
    assert!(said.stdout.matches("## ").count() > 1, "{}", said.stdout);
    let said = home.ends(
        0,
        &[
            "decompose",
            "Audit it",
            "--gather",
            "Make one plan",
            "--demo",
            "-q",
        ],
    );
    assert!(
        said.stdout.starts_with("[scripted demo-sonnet] "),
        "{}",
        said.stdout
    );
}

#[test]
fn ask_takes_its_material_from_stdin() {
    let home = Home::new();
    let asked = home.ends_with(0, &["ask", "Review this", "--demo", "-q"], "a diff\n");
    assert!(
        asked.stdout.starts_with("[scripted demo-sonnet]"),
        "{}",
        asked.stdout
    );
    let prompt = home.ends(0, &["show", "last", "ask"]).stdout;
    assert!(prompt.contains("  Review this\n  \n  a diff"), "{prompt}");
    home.ends(0, &["ask", "Say something", "--demo", "-q"]);
    let prompt = home.ends(0, &["show", "last", "ask"]).stdout;
    assert!(!prompt.contains("a diff"), "{prompt}");
    let said = home.ends(2, &["ask", " ", "--demo"]).stderr;
    assert!(said.contains("the prompt is empty"), "{said}");
}

#[test]
fn pipe_takes_models_for_its_steps_and_a_text_from_stdin() {
    let home = Home::new();
    let steps = [
        "pipe",
        "-",
        "Sum up",
        "Translate",
        "--models",
        "haiku,opus",
        "--demo",
    ];
    home.ends_with(0, &steps, "the text");
    let shown = |task: &str| home.ends(0, &["show", "last", task]).stdout;
    assert!(
        shown("t0").contains("  Sum up\n  \n  the text"),
        "{}",
        shown("t0")
    );
    assert!(shown("t0").contains("demo-haiku"), "{}", shown("t0"));
    assert!(shown("t1").contains("demo-opus"), "{}", shown("t1"));
    let said = home
        .ends(2, &["pipe", "a", "b", "--models", "haiku", "--demo"])
        .stderr;
    assert!(said.contains("--models names 1 for 2 steps"), "{said}");
    assert!(
        home.ends(2, &["pipe", "-", "a", "--demo"])
            .stderr
            .contains("nothing on stdin")
    );
    // A file: what a pipe holds when the command looks at it depends on its writer.
    home.write("unread.txt", "unread");
    let mut command = home.divisi(&["pipe", "a", "--demo"]);
    let unread = std::fs::File::open(home.folder().join("unread.txt")).unwrap();
    let said = command.stdin(unread).output().unwrap().stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("note: stdin is not read"), "{said}");
}
