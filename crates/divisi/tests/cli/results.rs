//! Results of a run, printed and written.

use crate::home::Home;
use rustix::fs::{CWD, FileType, Mode};

/// Two agents, one of which answers with a value, a task that fails, and a timer.
const FLOW: &str = "\
export const meta = { name: 'mixed', description: 'Texts, values and a failure' };
const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] };
await agent('Say something', { label: 'say/it', phase: 'Talk', tools: [] });
await agent('Count', { label: 'count', schema, tools: [] });
await agent('Fail', { label: 'bad', executor: 'none' });
await new Promise((done) => setTimeout(done, 1));
return 'done';
";

fn ran() -> Home {
    let home = Home::with("mixed.js", FLOW);
    home.ends(3, &["run", "mixed.js", "--demo", "-q"]);
    home
}

#[test]
fn they_are_printed_in_each_form() {
    let home = ran();
    let shown = |args: &[&str]| home.ends(0, &[&["results"], args].concat()).stdout;
    let text = shown(&[]);
    assert!(
        text.starts_with("## say/it\n\n[scripted demo-sonnet] "),
        "{text}"
    );
    assert!(text.contains("## bad\n\n(no result: "), "{text}");
    assert!(shown(&["--format", "md"]).contains("## count\n\n```json\n{\n"));

    let rows: serde_json::Value = serde_json::from_str(&shown(&["--json"])).unwrap();
    assert_eq!(
        rows.as_array().unwrap().len(),
        3,
        "a timer has no result: {rows}"
    );
    assert_eq!(rows[0]["phase"], "Talk");
    assert!(
        rows[1]["result"]["n"].is_i64(),
        "a value, not a text: {rows}"
    );
    assert_eq!(
        (&rows[2]["status"], &rows[2]["result"]),
        (&"failed".into(), &().into())
    );
    assert!(
        rows[2]["reason"].as_str().unwrap().contains("none"),
        "{rows}"
    );

    let lines = shown(&["last", "count", "--format", "ndjson"]);
    let line: serde_json::Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(line["label"], "count");

    let csv = shown(&["--format", "csv"]);
    let mut records = csv.lines();
    let head = "task,label,phase,status,model,cost,result,reason";
    assert_eq!(records.next(), Some(head));
    assert!(
        records.next().unwrap().starts_with("t0,say/it,Talk,ok,"),
        "{csv}"
    );
    assert!(csv.contains(r#","{""n"":"#), "{csv}");
}

#[test]
fn they_are_written_into_a_file_and_into_a_folder() {
    let home = ran();
    home.ends(0, &["results", "last", "-o", "all.csv"]);
    assert!(home.read("all.csv").starts_with("task,label,"));
    home.ends(
        0,
        &["results", "last", "-o", "all.json", "--format", "ndjson"],
    );
    assert_eq!(home.read("all.json").lines().count(), 3);
    home.ends(0, &["results", "last", "-o", "answers/"]);
    assert!(home.read("answers/say-it.md").starts_with("[scripted"));
    assert!(home.read("answers/count.json").contains("\"n\""));
    assert!(!home.folder().join("answers/bad.md").exists());
    let said = home
        .ends(1, &["results", "last", "-o", "no/such/file.md"])
        .stderr;
    assert!(said.contains("cannot write no/such/file.md"), "{said}");

    // What is no file is written to, and a link stays one.
    let link = home.folder().join("link.csv");
    std::os::unix::fs::symlink("all.csv", &link).unwrap();
    home.ends(0, &["results", "last", "count", "-o", "link.csv"]);
    assert!(link.is_symlink() && home.read("all.csv").lines().count() == 2);
    let pipe = home.folder().join("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let reader = std::thread::spawn(move || std::fs::read_to_string(pipe).unwrap());
    home.ends(0, &["results", "last", "-o", "pipe", "--format", "csv"]);
    assert!(reader.join().unwrap().starts_with("task,label,"));
}
