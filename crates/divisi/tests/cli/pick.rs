use crate::home::Home;

#[test]
fn the_choice_is_explained_without_a_key() {
    let said = Home::new().ends(0, &["pick", "Fix the crash when the file is empty"]);
    insta::assert_snapshot!(said.stdout, @r#"
    bug · sonnet · confidence 0.82
    find out why something is wrong, and put it right

    claude-sonnet-5-5 at anthropic would answer
    the provider is not ready; `divisi doctor` says what is missing

    Evidence
      +4.2  vote  texts like this go to sonnet: "empty", "crash", "when"
      +5.0  bug   first asks to "fix"
      +1.5  bug   speaks of "crash"

    A thousand such tasks, roughly
      haiku    $16.50  claude-haiku-5-5
      sonnet  $275.22  claude-sonnet-5-5
      opus    $550.43  claude-opus-5-5
      fable   $991.30  claude-fable-5-2
      at 600 k prompt tokens in 22 turns, 9.0 k written; the dearest tenth costs 8 times the cheapest
    "#);
}

#[test]
fn agents_tools_and_settings_are_evidence() {
    let home = Home::with("divisi.toml", "[kinds.search]\ntier = 'opus'\n");
    let page = home
        .ends(0, &["pick", "The pool?", "--agent", "Explore", "--json"])
        .stdout;
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    assert_eq!(
        (&page["kind"], &page["tier"]),
        (&"search".into(), &"opus".into())
    );
    assert_eq!(page["reasons"][0]["what"]["agent"], "Explore");
}

#[test]
fn what_is_wrong_is_said() {
    let wrong = |home: Home, args: &[&str]| home.ends(2, &[&["pick", "x"], args].concat()).stderr;
    insta::assert_snapshot!(wrong(Home::new(), &["--kind", "reserch"]), @r"
    error: there is no kind of task `reserch`
      hint: did you mean `research` or `search`?
    ");
    insta::assert_snapshot!(wrong(Home::new(), &["--schema", "{"]), @"error: the schema is no JSON: EOF while parsing an object at line 1 column 1");
    let home = Home::with(
        "divisi.toml",
        "[kinds.ledger]\nphrases = ['double entry']\n",
    );
    insta::assert_snapshot!(wrong(home, &[]), @r#"
    error: the kind `ledger` of the settings is new and has no tier
      hint: say `tier = "sonnet"` under [kinds.ledger], or check how its name is written
    "#);
}

#[test]
fn a_run_may_leave_the_model_open() {
    let said = Home::new().ends(
        0,
        &[
            "map",
            "Find all callers of {}",
            "open",
            "--model",
            "auto",
            "--demo",
            "--json",
        ],
    );
    assert!(said.stdout.contains("demo-haiku"), "{}", said.stdout);
}
