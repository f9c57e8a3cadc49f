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
    insta::assert_snapshot!(page(&Home::new().ends(1, &["doctor"]).stdout), @r#"
    divisi 0.1.0

    Keys
      ANTHROPIC_API_KEY  not set
      OPENAI_API_KEY  not set
      OPENROUTER_API_KEY  not set

    Providers
      anthropic  needs ANTHROPIC_API_KEY  https://api.anthropic.com
      openai  needs OPENAI_API_KEY  https://api.openai.com/v1
      openrouter  needs OPENROUTER_API_KEY  https://openrouter.ai/api/v1
      model servers on this machine are not looked for (`local = false`)

    Models
      none; `--demo` runs a flow on scripted answers

    Settings
      agents_max = 1000  default
      allow = []  default
      budget.warn_percent = 80  default
      check_timeout = "15m"  default
      confirm_above = "10.00"  default
      estimate = false  DIVISI_ESTIMATE
      hedge = false  default
      idle_timeout = "3m"  default
      limits.hopeless_after = 5  default
      limits.in_flight_max = 1000  default
      limits.log_bytes_max = 16384  default
      limits.logs_max = 100000  default
      limits.programs_max = 64  default
      limits.tasks_max = 1000000  default
      local = false  DIVISI_LOCAL
      model = "sonnet"  default
      provider = "auto"  default
      reply_tokens_max = 16384  default
      retry.overload_wait_max = "10m"  default
      retry.rest_first = "500ms"  default
      retry.rest_max = "30s"  default
      retry.retries_max = 4  default
      retry.waits_max = 100  default
      store = "~/.local/share/divisi/runs.db"  default
      timeout = "30m"  default
      turns_max = 50  default

    Store
      ~/.local/share/divisi/runs.db
      not there yet; the first run makes it, _ GiB free

    Agents
      Explore  built in
      Plan  built in
      general-purpose  built in

    problem: there is no model to ask: no key is set, and the settings say not to look for a model server on this machine
      hint: set one of ANTHROPIC_API_KEY, OPENAI_API_KEY, OPENROUTER_API_KEY
      hint: or add `--demo` to see the same run without a model: its answers are scripted
    "#);
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

    Models
      haiku  anthropic:claude-haiku-5-5  taken by default
      sonnet  anthropic:claude-sonnet-5-5
      opus  anthropic:claude-opus-5-5
      fable  anthropic:claude-fable-5-2

    Settings
      agents_max = 1000  default
      allow = []  default
      budget.warn_percent = 80  default
      check_timeout = "15m"  default
      confirm_above = "10.00"  default
      estimate = false  DIVISI_ESTIMATE
      executors.mine = "mine"  ~/work/divisi.toml
      hedge = false  default
      idle_timeout = "3m"  default
      limits.hopeless_after = 5  default
      limits.in_flight_max = 9  DIVISI_JOBS
      limits.log_bytes_max = 16384  default
      limits.logs_max = 100000  default
      limits.programs_max = 9  DIVISI_JOBS
      limits.tasks_max = 1000000  default
      local = false  DIVISI_LOCAL
      model = "haiku"  ~/work/divisi.toml
      provider = "auto"  default
      providers.corp = "openai-chat"  ~/work/divisi.toml
      reply_tokens_max = 16384  default
      retry.overload_wait_max = "10m"  default
      retry.rest_first = "500ms"  default
      retry.rest_max = "30s"  default
      retry.retries_max = 4  default
      retry.waits_max = 100  default
      store = "~/.local/share/divisi/runs.db"  default
      timeout = "30m"  default
      turns_max = 50  default

    Store
      ~/.local/share/divisi/runs.db
      not there yet; the first run makes it, _ GiB free

    Agents
      Explore  built in
      Plan  built in
      general-purpose  built in

    problem: ~/work/divisi.toml is not trusted, so a run asks about providers.corp, executors.mine first
      hint: read it, then: divisi trust ~/work
    problem: DIVISI_MODLE is set, but no setting has that name
      hint: unset it, or correct its name
    problem: agent definition ~/work/.claude/agents/bad.md: no front matter (not used)
    "#);
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
