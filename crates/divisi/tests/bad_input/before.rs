//! Before there is a run: nothing is written, and the exit code is 2, or 1
//! where something outside the command line is missing.

use crate::tools::{assert_untouched, divisi, file, files, flow, machine, tell, told};
use insta::assert_snapshot;

#[test]
fn a_file_that_is_not_there() {
    let machine = machine();
    assert_snapshot!(told(&machine, &["run", "nothing.js"]), @"
    exit 2
    error: there is no file nothing.js
    ");
    assert_snapshot!(told(&machine, &["run", "nothing"]), @"
    exit 2
    error: there is no flow `nothing` in flows, .divisi/flows, .claude/workflows here, further up, or in your home folder
    ");
    assert_untouched(&machine, &[]);
}

#[test]
fn a_syntax_error() {
    let machine = machine();
    file(&machine, "wrong.js", "const a = 1\nconst b = = 2\nreturn a");
    assert_snapshot!(told(&machine, &["run", "wrong.js"]), @"
    exit 2
    script::syntax

      × script `[home]/wrong.js` cannot be read at line 2: unexpected token in expression: '='
       ╭─[[home]/wrong.js:2:1]
     1 │ const a = 1
     2 │ const b = = 2
       · ──────┬──────
       ·       ╰── unexpected token in expression: '='
     3 │ return a
       ╰────
    ");
    assert_untouched(&machine, &["wrong.js"]);
}

#[test]
fn an_import() {
    let machine = machine();
    file(
        &machine,
        "wrong.js",
        "const a = 1\nimport fs from 'fs'\nreturn a",
    );
    assert_snapshot!(told(&machine, &["run", "wrong.js"]), @"
    exit 2
    script::import

      × script `[home]/wrong.js` cannot be read at line 2: `import` loads a module
       ╭─[[home]/wrong.js:2:1]
     1 │ const a = 1
     2 │ import fs from 'fs'
       · ─────────┬─────────
       ·          ╰── `import` loads a module
     3 │ return a
       ╰────
      help: a script is one file; let an agent do what the module would have done
    ");
    assert_untouched(&machine, &["wrong.js"]);
}

#[test]
fn a_script_that_is_too_long() {
    let machine = machine();
    file(
        &machine,
        "long.js",
        format!("// {}\nreturn 1", "x".repeat(3_000_000)),
    );
    assert_snapshot!(told(&machine, &["run", "long.js"]), @"
    exit 2
    script::length

      × script `[home]/long.js` is too long: 3000012 bytes, 1048576 are allowed
      help: split it; `workflow()` runs the parts
    ");
    assert_untouched(&machine, &["long.js"]);
}

#[test]
fn a_script_that_is_no_text() {
    let machine = machine();
    file(&machine, "image.js", b"\xff\xfe\x00");
    assert_snapshot!(told(&machine, &["run", "image.js"]), @"
    exit 2
    error: cannot read [home]/image.js: it is UTF-16, not UTF-8: save it as UTF-8
    ");
    assert_untouched(&machine, &["image.js"]);
}

#[test]
fn an_empty_prompt_on_the_command_line() {
    let machine = machine();
    assert_snapshot!(told(&machine, &["map", " ", "a", "b"]), @"
    exit 2
    error: the prompt is empty
    ");
    assert_snapshot!(told(&machine, &["map", "look at {}", ""]), @"
    exit 2
    error: there are no items
    ");
    assert_snapshot!(told(&machine, &["pipe", "build", ""]), @"
    exit 2
    error: step 2 is empty
    ");
    assert_snapshot!(told(&machine, &["decompose", ""]), @"
    exit 2
    error: the goal is empty
    ");
    assert_untouched(&machine, &[]);
}

#[test]
fn an_unknown_model() {
    let machine = machine();
    flow(&machine, "ok", "return await agent('hello')");
    assert_snapshot!(told(&machine, &["run", "ok.js", "--model", "gpt-0"]), @"
    exit 2
    error: provider `anthropic` knows no model `gpt-0`
      hint: it has fable (claude-fable-5-2), haiku (claude-haiku-5-5), opus (claude-opus-5-5), sonnet (claude-sonnet-5-5), and ids like claude-*
    ");
    assert_untouched(&machine, &["ok.js"]);
}

#[test]
fn no_key() {
    let machine = machine();
    flow(&machine, "ok", "return (await agent('hello')).length > 0");
    let without_key = |args: &[&str]| {
        tell(
            &machine,
            divisi(&machine, args).env_remove("ANTHROPIC_API_KEY"),
        )
    };
    assert_snapshot!(without_key(&["run", "ok.js"]), @"
    exit 1
    error: there is no model to ask
      caused by: no key is set, and the settings say not to look for a model server on this machine
      hint: set one of ANTHROPIC_API_KEY, OPENAI_API_KEY, OPENROUTER_API_KEY
      hint: or add `--demo` to see the same run without a model: its answers are scripted
    ");
    assert_snapshot!(without_key(&["run", "ok.js", "--provider", "openai"]), @"
    exit 1
    error: provider `openai` has no key
      hint: set OPENAI_API_KEY, or add `--demo` to see the same run without a model
    ");
    assert_untouched(&machine, &["ok.js"]);
    assert_snapshot!(without_key(&["run", "ok.js", "--demo"]), @"
    exit 0
    [m:ss] DEMO · answers are scripted, and dollars an example
    [m:ss] ok [run-id] started
    [m:ss] ✓ hello · demo-sonnet · [time] · [tokens] · [cost]

    DEMO · answers are scripted, and dollars an example
    ok [run-id] ok
    1 ok · [time] · [tokens] · [cost]
      divisi show [run-id]  what each task did
    stdout:
    true
    ");
}

#[test]
fn an_address_that_is_none() {
    let machine = machine();
    let command = &mut divisi(&machine, &["map", "look at {}", "a"]);
    assert_snapshot!(tell(&machine, command.env("ANTHROPIC_BASE_URL", "here")), @"
    exit 2
    error: provider `anthropic` cannot be set up: its address does not begin with http:// or https://
      hint: it comes from the variable ANTHROPIC_BASE_URL: write it whole, like http://127.0.0.1:8080
    ");
    let command = &mut divisi(&machine, &["map", "look at {}", "a"]);
    assert_snapshot!(tell(&machine, command.env("OPENAI_BASE_URL", "localhost:8080").env("OPENAI_API_KEY", "k")), @"
    exit 2
    error: provider `openai` cannot be set up: its address does not begin with http:// or https://
      hint: it comes from the variable OPENAI_BASE_URL: write it whole, like http://127.0.0.1:8080
    ");
    std::fs::create_dir_all(machine.home().join(".config/divisi")).unwrap();
    file(
        &machine,
        ".config/divisi/config.toml",
        "[providers.corp]\nkind = 'openai-chat'\nbase_url = '127.0.0.1:8080'\n",
    );
    assert_snapshot!(told(&machine, &["map", "look at {}", "a"]), @"
    exit 2
    error: provider `corp` cannot be set up: its address does not begin with http:// or https://
      hint: it comes from `base_url` under [providers.corp]: write it whole, like http://127.0.0.1:8080
    ");
    assert_untouched(&machine, &[".config/divisi/config.toml"]);
}

#[test]
fn settings_with_an_unknown_key() {
    let machine = machine();
    file(
        &machine,
        "divisi.toml",
        "model = 'haiku'\n\n[limits]\n  in_flight_maks = 3\n",
    );
    assert_snapshot!(told(&machine, &["map", "look at {}", "a"]), @"
    exit 2
    error: [home]/divisi.toml, line 4, column 3: there is no setting `in_flight_maks`
      hint: did you mean `in_flight_max`?
    ");
    assert_snapshot!(told(&machine, &["runs"]), @"
    exit 2
    error: [home]/divisi.toml, line 4, column 3: there is no setting `in_flight_maks`
      hint: did you mean `in_flight_max`?
    ");
    file(
        &machine,
        "divisi.toml",
        "[providers.mine]\nkind = 'openai-chat'\nsecret = 'hush'\n",
    );
    assert_snapshot!(told(&machine, &["map", "look at {}", "a"]), @"
    exit 2
    error: [home]/divisi.toml, line 3, column 1: there is no setting `secret`
      hint: there are kind, base_url, key_env, models, tiers, kinds, rate, dialect
    ");
    std::fs::remove_file(machine.home().join("divisi.toml")).unwrap();
    let command = &mut divisi(&machine, &["map", "look at {}", "a"]);
    assert_snapshot!(tell(&machine, command.env("DIVISI_JOBS", "many")), @r#"
    exit 2
    error: the environment variable DIVISI_JOBS: invalid type: string "many", expected u32
    "#);
    assert_untouched(&machine, &[]);
}

#[test]
fn a_store_of_a_later_version() {
    let machine = machine();
    told(&machine, &["map", "look at {}", "a"]);
    let store = rusqlite::Connection::open(machine.store()).unwrap();
    store
        .execute_batch("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE);")
        .unwrap();
    drop(store);
    let (there, before) = (files(&machine), std::fs::read(machine.store()).unwrap());
    assert_snapshot!(told(&machine, &["map", "look at {}", "b"]), @"
    exit 1
    error: the store [home]/divisi.db has format 99; this divisi reads formats up to 7
      hint: update divisi, or name another store with `--store`
    ");
    assert_snapshot!(told(&machine, &["runs"]), @"
    exit 1
    error: the store [home]/divisi.db has format 99; this divisi reads formats up to 7
      hint: update divisi, or name another store with `--store`
    ");
    assert_eq!(files(&machine), there);
    assert_eq!(std::fs::read(machine.store()).unwrap(), before);
    assert_eq!(machine.requests(), 1);
}

#[test]
fn a_store_that_is_something_else() {
    let machine = machine();
    let text = "not a store, but long enough to be looked at\n".repeat(200);
    file(&machine, "notes.txt", &text);
    std::fs::create_dir(machine.home().join("folder")).unwrap();
    rusqlite::Connection::open(machine.home().join("other.db"))
        .unwrap()
        .execute_batch("CREATE TABLE mine (x)")
        .unwrap();
    let map = |store| told(&machine, &["map", "look at {}", "a", "--store", store]);
    assert_snapshot!(map("notes.txt"), @"
    exit 1
    error: [home]/notes.txt is not a divisi store
      hint: name another file with `--store`
    ");
    assert_snapshot!(map("other.db"), @"
    exit 1
    error: [home]/other.db is not a divisi store
      hint: name another file with `--store`
    ");
    assert_snapshot!(map("folder"), @"
    exit 1
    error: cannot open the store folder
      caused by: Is a directory (os error 21)
      hint: name another file with `--store`
    ");
    assert_snapshot!(map("notes.txt/runs.db"), @"
    exit 1
    error: cannot open the store notes.txt/runs.db
      caused by: File exists (os error 17)
      hint: name another file with `--store`
    ");
    assert_eq!(
        std::fs::read_to_string(machine.home().join("notes.txt")).unwrap(),
        text
    );
    assert_untouched(&machine, &["notes.txt", "other.db"]);
}

#[test]
fn a_run_that_is_not_there() {
    let machine = machine();
    assert_snapshot!(told(&machine, &["resume", "last"]), @"
    exit 2
    error: there are no runs yet
      hint: start one with `divisi run`
    ");
    assert_snapshot!(told(&machine, &["resume", "k3f9"]), @"
    exit 2
    error: there is no run `k3f9`
      hint: `divisi runs` lists them
    ");
    assert_snapshot!(told(&machine, &["rerun", "k3f9", "--failed"]), @"
    exit 2
    error: there is no run `k3f9`
      hint: `divisi runs` lists them
    ");
    assert_snapshot!(told(&machine, &["show", "k3f9"]), @"
    exit 2
    error: there is no run `k3f9`
      hint: `divisi runs` lists them
    ");
}

#[test]
fn an_abbreviated_id_that_fits_several() {
    let machine = machine();
    told(&machine, &["map", "look at {}", "a"]);
    let store = rusqlite::Connection::open(machine.store()).unwrap();
    let copy = "INSERT INTO runs (id, position, name, status, ok, failed, skipped, open, tokens,
                cost_pico_usd, started_at, updated_at, folder) SELECT ?1, position, name, status, ok, failed, skipped, open, tokens,
                cost_pico_usd, started_at, updated_at, folder FROM runs LIMIT 1";
    for id in ["k3f90000", "k3f91111"] {
        store.execute(copy, [id]).unwrap();
    }
    drop(store);
    assert_snapshot!(told(&machine, &["resume", "k3f9"]), @"
    exit 2
    error: 2 runs begin with `k3f9`
      hint: say more of the id: k3f91111 (map), k3f90000 (map)
    ");
    assert_snapshot!(told(&machine, &["show", "k3f9"]), @"
    exit 2
    error: 2 runs begin with `k3f9`
      hint: say more of the id: k3f91111 (map), k3f90000 (map)
    ");
}
