use crate::home::Home;

/// The page without what differs between machines: the free room on the disk,
/// and columns as wide as the longest path.
fn page(said: &str) -> String {
    let line = |line: &str| match line.split_once(" GiB free") {
        Some((before, _)) => {
            format!(
                "{} _ GiB free",
                before.rsplit_once(' ').map_or(before, |(rest, _)| rest)
            )
        }
        None => {
            let text = line.trim_start();
            let indent = &line[..line.len() - text.len()];
            let columns: Vec<&str> = text
                .split("  ")
                .map(str::trim)
                .filter(|column| !column.is_empty())
                .collect();
            format!("{indent}{}", columns.join("  "))
        }
    };
    said.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn without_a_key_it_says_what_to_do_and_fails() {
    insta::assert_snapshot!(page(&Home::new().ends(1, &["doctor"]).stdout), @"
    divisi 0.1.0

    runs cannot start
    problem: there is no model to ask: no key is set, and the settings say not to look for a model server on this machine
      hint: set one of ANTHROPIC_API_KEY, OPENAI_API_KEY, OPENROUTER_API_KEY
      hint: or add `--demo` to see the same run without a model: its answers are scripted

    Keys
      ANTHROPIC_API_KEY  not set
      OPENAI_API_KEY  not set
      OPENROUTER_API_KEY  not set

    Providers
      anthropic  needs ANTHROPIC_API_KEY  https://api.anthropic.com
      openai  needs OPENAI_API_KEY  https://api.openai.com/v1
      openrouter  needs OPENROUTER_API_KEY  https://openrouter.ai/api/v1
      model servers on this machine are not looked for (`local = false`)

    Agent programs
      claude  program `claude` was not found
      codex  program `codex` was not found

    Models
      none; `--demo` runs a flow on scripted answers

    Settings
      estimate = false  DIVISI_ESTIMATE
      local = false  DIVISI_LOCAL
      29 have their defaults, which `--verbose` lists

    Store
      ~/.local/share/divisi/runs.db
      not there yet; the first run makes it, _ GiB free

    Agents
      Explore  built in
      Plan  built in
      general-purpose  built in
    ");
}

#[test]
fn settings_are_shown_with_where_they_come_from_and_keys_never() {
    let home = Home::with(
        "divisi.toml",
        "model = 'haiku'\n[executors.mine]\ncommand = ['mine', '--token=hush']\n[providers.corp]\nkind = 'openai-chat'\nbase_url = 'https://me:hush@corp.example/v1'\nkey_env = 'CORP_KEY'\n",
    );
    home.write(".claude/agents/bad.md", "no front matter");
    let home = home
        .variable("ANTHROPIC_API_KEY", "sk-hush")
        .variable("DIVISI_MODLE", "x")
        .variable("DIVISI_JOBS", "9");
    let said = home.ends(0, &["doctor"]).stdout;
    assert!(!said.contains("hush"), "{said}");
    insta::assert_snapshot!(page(&said), @r#"
    divisi 0.1.0

    runs can start, by default on anthropic:claude-haiku-5-5 (haiku)
    problem: ~/work/divisi.toml is not trusted, so a run asks about providers.corp, executors.mine first
      hint: read it, then: divisi trust ~/work
    problem: DIVISI_MODLE is set, but no setting has that name
      hint: unset it, or correct its name
    problem: agent definition ~/work/.claude/agents/bad.md: no front matter (not used)

    Keys
      CORP_KEY  not set
      ANTHROPIC_API_KEY  set
      OPENAI_API_KEY  not set
      OPENROUTER_API_KEY  not set

    Providers
      corp  needs CORP_KEY  https://corp.example/v1
      anthropic  ready, taken by default  https://api.anthropic.com
      openai  needs OPENAI_API_KEY  https://api.openai.com/v1
      openrouter  needs OPENROUTER_API_KEY  https://openrouter.ai/api/v1
      model servers on this machine are not looked for (`local = false`)

    Agent programs
      claude  program `claude` was not found
      codex  program `codex` was not found

    Models
      haiku  anthropic:claude-haiku-5-5  taken by default
      sonnet  anthropic:claude-sonnet-5-5
      opus  anthropic:claude-opus-5-5
      fable  anthropic:claude-fable-5-2

    Settings
      estimate = false  DIVISI_ESTIMATE
      executors.mine = "mine"  ~/work/divisi.toml
      limits.in_flight_max = 9  DIVISI_JOBS
      limits.programs_max = 9  DIVISI_JOBS
      local = false  DIVISI_LOCAL
      model = "haiku"  ~/work/divisi.toml
      providers.corp = "openai-chat"  ~/work/divisi.toml
      26 have their defaults, which `--verbose` lists

    Store
      ~/.local/share/divisi/runs.db
      not there yet; the first run makes it, _ GiB free

    Agents
      Explore  built in
      Plan  built in
      general-purpose  built in
    "#);
}

#[test]
fn a_key_is_tried_only_when_asked() {
    let mock = divisi_mock::MockThread::start(divisi_mock::Config {
        keys: vec!["right".into()],
        ..divisi_mock::Config::default()
    });
    let home = |key: &str| {
        Home::new()
            .variable("ANTHROPIC_API_KEY", key)
            .variable("ANTHROPIC_BASE_URL", mock.url())
    };
    home("wrong").ends(0, &["doctor"]);
    assert!(mock.requests().is_empty());
    insta::assert_snapshot!(home("right").ends(0, &["doctor", "--try", "-q"]).stdout, @"runs can start, by default on anthropic:claude-sonnet-5-5 (sonnet)");
    insta::assert_snapshot!(home("wrong").ends(1, &["doctor", "--try", "-q"]).stdout, @"
    runs cannot start
    problem: provider `anthropic` answered 401: invalid API key
      hint: check ANTHROPIC_API_KEY: the key in it was refused
    ");
}

#[test]
fn a_program_can_read_it() {
    let home = Home::new().variable("OPENAI_API_KEY", "sk-hush");
    let said = home.ends(0, &["doctor", "--json"]).stdout;
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["can_run"], true);
    assert!(!said.contains("hush"));
}

#[test]
fn it_leaves_no_traces() {
    let home = Home::new();
    home.ends(1, &["doctor"]);
    assert!(!home.folder().join("../.local").exists());
}
