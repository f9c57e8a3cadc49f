use crate::home::Home;

#[test]
fn init_writes_what_can_be_run_at_once() {
    let home = Home::new();
    insta::assert_snapshot!(home.ends(0, &["init"]).stderr, @r#"
    wrote divisi.toml
    wrote flows/audit.js

    next:
      divisi run flows/audit.js --demo     see it run, on scripted answers
      divisi doctor                        see which models there are
      divisi run flows/audit.js            run it
    "#);
    home.ends(0, &["check", "flows/audit.js", "--demo", "--strict"]);
    assert!(
        !home
            .ends(0, &["run", "flows/audit.js", "--demo"])
            .stdout
            .is_empty()
    );
    assert!(home.ends(1, &["doctor"]).stdout.contains("Settings"));
}

/// The lines of README that name the flow of `divisi init`, which a newcomer types
/// one after the other, and the flow that README shows.
#[test]
fn what_readme_types_works_with_its_own_flow_and_with_that_of_init() {
    let readme = include_str!("../../../../README.md");
    let shown = readme
        .split("```js\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let lines = readme
        .lines()
        .filter(|line| line.starts_with("divisi ") && line.contains("flows/audit.js"));
    let commands: Vec<&str> = lines
        .map(|line| line.split(" #").next().unwrap().trim())
        .collect();
    assert!(commands.len() > 4, "{commands:?}");
    let of_init = Home::new();
    of_init.ends(0, &["init"]);
    for home in [of_init, Home::with("flows/audit.js", shown)] {
        for command in commands.iter().filter(|command| **command != "divisi init") {
            let words = command.strip_prefix("divisi").unwrap();
            let mut shell = home.divisi(&[]);
            let binary = shell.get_program().to_owned();
            let demo = if words.contains("--demo") {
                ""
            } else {
                " --demo"
            };
            let typed = format!("'{}'{words}{demo}", binary.display());
            let of_home: Vec<_> = shell
                .get_envs()
                .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
                .collect();
            shell = std::process::Command::new("sh");
            shell
                .args(["-c", &typed])
                .current_dir(home.folder())
                .env_clear();
            shell.envs(
                of_home
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            let output = shell.output().unwrap();
            assert!(
                output.status.success(),
                "{command}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

#[test]
fn init_writes_over_nothing_unless_told_to() {
    let home = Home::with("flows/audit.js", "mine");
    insta::assert_snapshot!(home.ends(2, &["init"]).stderr, @r#"
    error: there is flows/audit.js already; nothing was written
      hint: add `--force` to write over it
    "#);
    assert_eq!(home.read("flows/audit.js"), "mine");
    assert!(!home.folder().join("divisi.toml").exists());
    home.ends(0, &["init", "--force"]);
    assert!(home.read("flows/audit.js").contains("export const meta"));
}

#[test]
fn tiers_of_the_settings_stand_among_the_models() {
    let home = Home::with("divisi.toml", "[tiers]\nhaiku = 'claude-sonnet-5-5'")
        .variable("ANTHROPIC_API_KEY", "k");
    let models = home.ends(0, &["models"]).stdout;
    let haiku = models.lines().find(|line| line.contains("haiku ")).unwrap();
    assert!(haiku.contains("claude-sonnet-5-5"), "{models}");
}

#[test]
fn a_model_without_a_price_is_a_problem_to_the_doctor() {
    let home =
        Home::with("divisi.toml", "model = 'claude-unheard-of'").variable("ANTHROPIC_API_KEY", "k");
    let said = home.ends(1, &["doctor"]).stdout;
    assert!(
        said.contains("problem: model `claude-unheard-of` of `anthropic` has no price here"),
        "{said}"
    );
}

#[test]
fn declarations_completions_and_pages_are_written() {
    let home = Home::new();
    assert!(
        home.ends(0, &["types"])
            .stdout
            .contains("declare function parallel")
    );
    home.ends(0, &["types", "-o", "divisi.d.ts"]);
    assert!(
        home.read("divisi.d.ts")
            .contains("declare function parallel")
    );
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            home.ends(0, &["completions", shell])
                .stdout
                .contains("COMPLETE"),
            "{shell}"
        );
    }
    assert!(home.ends(0, &["man"]).stdout.contains(".TH divisi"));
    home.ends(0, &["man", "-o", "man"]);
    assert!(home.read("man/divisi-run.1").contains("divisi"));
}

/// What a shell proposes for the last of these words.
fn proposed(home: &Home, words: &[&str]) -> String {
    let mut command = home.divisi(&["--", "divisi"]);
    command.args(words).env("COMPLETE", "fish");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn runs_their_names_and_models_are_completed() {
    let home = Home::with("flow.js", crate::home::FLOW);
    assert!(proposed(&home, &["resume", ""]).starts_with("last\t"));
    let store = home.folder().join("../.local/share/divisi/runs.db");
    assert!(!store.exists(), "a completion makes no store");
    home.ends(0, &["run", "flow.js", "--demo", "-q", "--name", "nightly"]);
    let id = home.last();
    for words in [
        &["resume", ""][..],
        &["diff", ""],
        &["diff", "last", ""],
        &["rm", ""],
    ] {
        let shown = proposed(&home, words);
        assert!(
            shown.contains(&format!("{id}\tnightly ok\n")),
            "{words:?}\n{shown}"
        );
        assert!(shown.contains("nightly\taudit ok\n"), "{words:?}\n{shown}");
    }
    for flag in ["--planner", "--worker", "--gather-model"] {
        let shown = proposed(&home, &["decompose", "goal", flag, "op"]);
        assert!(shown.contains("opus"), "{flag}\n{shown}");
    }
}

#[test]
fn the_findings_of_the_doctor_go_through_a_filter() {
    let home = Home::new().variable("ANTHROPIC_API_KEY", "k");
    assert_eq!(home.ends(0, &["doctor", "--jq", ".can_run"]).stdout, "true");
}
