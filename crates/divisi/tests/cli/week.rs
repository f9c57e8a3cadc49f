//! A week's work: 40 runs of 8 flows in two folders, found again, compared, moved, corrected and
//! removed.

use crate::home::{Home, Said};
use serde_json::Value;
use std::path::Path;

const FOLDERS: [&str; 2] = ["shop", "bank"];
const TOPICS: [&str; 8] = [
    "login", "payment", "orders", "search", "mail", "export", "billing", "reports",
];
const ROUNDS: usize = 5;

/// Files that SQLite keeps beside the store while it is open.
const BESIDE_BYTES_MAX: u64 = 64 << 10;

fn flow(topic: &str) -> String {
    format!(
        "export const meta = {{ name: '{topic}', description: 'Looks after {topic}' }};\n\
         phase('Audit');\n\
         const parts = await parallel(['errors', 'names'].map((what) => () =>\n\
           agent(`Audit the ${{what}} of {topic}, round ${{args.round}}`, {{ label: what, tools: [] }})));\n\
         return gather('Sum up {topic}', parts, {{ tools: [] }});\n"
    )
}

fn at(home: &Home, folder: &str, args: &[&str]) -> Said {
    home.ends_in(&home.folder().join(folder), 0, args)
}

fn json(home: &Home, folder: &str, args: &[&str]) -> Value {
    serde_json::from_str(&at(home, folder, &[args, &["--json"]].concat()).stdout).unwrap()
}

fn ids(rows: &Value, field: &str) -> Vec<String> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row[field].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn forty_runs_are_found_compared_moved_corrected_and_removed() {
    let home = Home::new();
    for (number, topic) in TOPICS.iter().enumerate() {
        home.write(&format!("{}/{topic}.js", FOLDERS[number % 2]), &flow(topic));
    }
    for round in 1..=ROUNDS {
        for (number, topic) in TOPICS.iter().enumerate() {
            let folder = FOLDERS[number % 2];
            let (file, name) = (format!("{topic}.js"), format!("{topic} {round}"));
            let round_arg = format!("round={round}");
            let tag = if round == ROUNDS { "friday" } else { "week" };
            at(
                &home,
                folder,
                &[
                    "run", &file, "--arg", &round_arg, "--demo", "-q", "--name", &name, "--tag",
                    tag,
                ],
            );
        }
    }
    let list = |args: &[&str]| {
        ids(
            &json(&home, "shop", &[&["runs", "--limit", "99"], args].concat()),
            "id",
        )
    };
    assert_eq!(list(&[]).len(), 40);
    assert_eq!(list(&["--here"]).len(), 20);
    assert_eq!(list(&["--flow", "mail"]).len(), ROUNDS);
    assert_eq!(list(&["--tag", "friday"]).len(), 8);

    // Found again by what was asked in the third round.
    let found = json(&home, "shop", &["search", "names of mail, round 3"]);
    let runs = ids(&found, "run");
    let mail = json(&home, "shop", &["show", "mail 3"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        !runs.is_empty() && runs.iter().all(|run| *run == mail),
        "{found}"
    );

    let diff = json(&home, "shop", &["diff", "mail 3", "mail 4"]);
    let changed = diff["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|task| task["result"] == "changed");
    // The audits; scripted answers repeat the prompt, and that of the sum has not changed.
    assert_eq!(changed.count(), 2);

    // One answer was bad: the task runs again on another model, and so does what reads it.
    at(
        &home,
        "shop",
        &["rerun", "mail 3", "names", "--model", "opus", "-q"],
    );
    let rows = json(&home, "shop", &["results", "mail 3"]);
    assert_eq!(rows[1]["model"], "demo-opus");
    assert_eq!(rows[0]["model"], "demo-sonnet");
    let earlier = at(&home, "shop", &["show", "mail 3", "names"]).stdout;
    assert!(earlier.contains("earlier: ok"), "{earlier}");

    // It moves to a colleague, who goes on with it.
    at(&home, "shop", &["export", "mail 3", "-o", "mail.divisi"]);
    let colleague = Home::with("mail.divisi", &home.read("shop/mail.divisi"));
    colleague.ends(0, &["import", "mail.divisi"]);
    let rows_there = colleague.ends(0, &["results", "mail 3", "--json"]).stdout;
    assert_eq!(serde_json::from_str::<Value>(&rows_there).unwrap(), rows);
    colleague.ends(0, &["resume", "mail 3"]);

    // Old ones go, and the disk has the room again, as was said.
    let before = on_disk(&home);
    let said = json(&home, "shop", &["gc"])["total_bytes"]
        .as_u64()
        .unwrap();
    assert!(
        said.abs_diff(before) <= BESIDE_BYTES_MAX,
        "{said} for {before}"
    );
    let report = json(&home, "shop", &["gc", "--keep", "10", "--yes"]);
    assert_eq!(report["selected"].as_array().unwrap().len(), 30);
    let freed = report["freed_bytes"].as_u64().unwrap();
    assert!(
        (before - on_disk(&home)).abs_diff(freed) <= BESIDE_BYTES_MAX,
        "{report}"
    );
    assert!(freed > before / 2, "{report}");
    assert_eq!(list(&[]).len(), 10);
    // The run that was corrected today was at work last.
    at(&home, "shop", &["results", "mail 3"]);

    for (line, expected) in [
        (&["runs", "--tag", "friday", "--jq", "length"][..], "8"),
        (
            &[
                "results",
                "mail 3",
                "--jq",
                r#".[] | select(.status != "ok") | .label"#,
            ],
            "",
        ),
        (&["show", "mail 3", "--jq", ".status"], "ok"),
    ] {
        assert_eq!(at(&home, "shop", line).stdout, expected, "{line:?}");
    }
}

/// Bytes of the store's files.
fn on_disk(home: &Home) -> u64 {
    let store = home.folder().join("../.local/share/divisi");
    files(&store)
}

fn files(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap());
    let stores = entries.filter(|entry| entry.file_name().to_string_lossy().contains(".db"));
    stores.map(|entry| entry.metadata().unwrap().len()).sum()
}
