//! Following a run that another process drives.

use crate::home::Home;
use crate::terminal::Screen;
use divisi_core::event::RunStatus;
use divisi_core::run::Stage;
use divisi_core::{Position, RunId, RunView};
use divisi_engine::Engine;
use divisi_engine::store::SqliteStore;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::Arc;

/// A task that is held until there is a file `go`, and one after it.
const HELD: &str = "\
export const meta = { name: 'held', description: 'One task that is held, and one after it' };
await agent('Say something', { label: 'first', tools: [] });
await shell('until [ -e go ]; do sleep 0.05; done', { label: 'held' });
await agent('Say the end', { label: 'end', tools: [] });
return 'done';
";

fn begun() -> (Home, Child) {
    let home = Home::with("held.js", HELD);
    let store = home.folder().join("runs.db");
    let home = home.variable("DIVISI_STORE", store.display().to_string());
    let mut run = home.divisi(&["run", "held.js", "--demo", "--allow", "run"]);
    let mut run = run
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("✓ first")));
    // What it says further must not stop it.
    std::thread::spawn(move || lines.for_each(drop));
    (home, run)
}

#[test]
fn a_library_follows_a_run_of_another_process_to_its_end() {
    let (home, mut run) = begun();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = Arc::new(SqliteStore::open(home.folder().join("runs.db")).unwrap());
    let engine = Engine::new(store);
    let id = RunId::new(home.last()).unwrap();
    let (followed, read) = runtime.block_on(async {
        let mut events = engine.subscribe(&id, Position(0));
        let mut followed = vec![];
        // So far it is what has happened; then the other process goes on.
        followed.extend(events.next().await.unwrap().unwrap().iter().cloned());
        assert!(engine.is_driven(&id).await.unwrap());
        home.write("go", "");
        while let Some(more) = events.next().await.unwrap() {
            followed.extend(more.iter().cloned());
        }
        (followed, engine.view(&id).await.unwrap().0)
    });
    assert!(run.wait().unwrap().success());
    assert!(
        followed
            .iter()
            .enumerate()
            .all(|(place, recorded)| recorded.position.0 == place as u64)
    );
    assert_eq!(RunView::of(&followed), read);
    assert_eq!(
        (read.stage, read.counts.ok),
        (Stage::Ended(RunStatus::Ok), 3)
    );
}

#[test]
fn a_person_watches_a_run_of_another_process() {
    let (home, mut run) = begun();
    let mut watch = home.divisi(&["watch"]);
    let mut watch = watch
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(watch.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(
        said.ends_with(": 1 of 2 tasks have ended so far\n"),
        "{said}"
    );
    home.write("go", "");
    stderr.read_to_string(&mut said).unwrap();
    assert!(watch.wait().unwrap().success(), "{said}");
    assert!(run.wait().unwrap().success());
    assert!(said.contains("✓ end"), "{said}");
    assert!(
        !said.contains("✓ first"),
        "what was before is not told: {said}"
    );
    let again = home.ends(0, &["watch", "--json"]).stdout;
    assert!(
        again.starts_with(r#"{"run":""#) && again.contains(r#""event":"run_ended","status":"ok""#),
        "{again}"
    );
}

#[test]
fn a_key_parks_a_run_of_another_process() {
    let (home, mut run) = begun();
    let mut screen = Screen::of(home.divisi(&["watch"]));
    screen.wait_for_keys();
    screen.types("?");
    screen.wait_for("p park, q leave");
    screen.types("p");
    screen.wait_for("parks: what is under way is finished first");
    home.write("go", "");
    assert_eq!(screen.ends(), Some(4), "{}", screen.contents());
    assert_eq!(run.wait().unwrap().code(), Some(4));
}

#[test]
fn a_key_sets_the_cap_of_a_run_of_another_process_and_a_resume_keeps_it() {
    let (home, mut run) = begun();
    let mut screen = Screen::of(home.divisi(&["watch"]));
    screen.wait_for_keys();
    screen.types("c7\r");
    screen.wait_for("cap from now on $7.00");
    screen.types("p");
    screen.wait_for("parks: what is under way is finished first");
    home.write("go", "");
    assert_eq!(screen.ends(), Some(4), "{}", screen.contents());
    run.wait().unwrap();
    let events = home
        .ends(0, &["resume", "last", "--allow", "run", "--json"])
        .events();
    let resumed = events
        .iter()
        .find(|event| event["event"] == "run_resumed")
        .unwrap();
    assert_eq!(resumed["cap"], 7.0, "{resumed}");
}
