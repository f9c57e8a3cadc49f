use crate::home::Home;

/// The page without what differs between machines: free room on the disk.
fn page(said: &str) -> String {
    let line = |line: &str| match line.split_once(" GiB free") {
        Some((before, after)) => format!("{} GiB free{after}", before.rsplit_once(' ').map_or(before, |(b, _)| b)),
        None => line.to_owned(),
    };
    said.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn without_a_key_it_says_what_to_do_and_fails() {
    insta::assert_snapshot!(page(&Home::new().ends(1, &["doctor"]).stdout), @"");
}

#[test]
fn settings_are_shown_with_where_they_come_from_and_keys_never() {
    let home = Home::with(
        "divisi.toml",
        "model = 'haiku'\n[executors.mine]\ncommand = ['mine', '--token=hush']\n[providers.corp]\nkind = 'openai-chat'\nbase_url = 'https://me:hush@corp.example/v1'\nkey_env = 'CORP_KEY'\n",
    );
    home.write(".claude/agents/bad.md", "no front matter");
    let home = home.variable("ANTHROPIC_API_KEY", "sk-hush").variable("DIVISI_MODLE", "x").variable("DIVISI_JOBS", "9");
    let said = home.ends(0, &["doctor"]).stdout;
    assert!(!said.contains("hush"), "{said}");
    insta::assert_snapshot!(page(&said), @"");
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
