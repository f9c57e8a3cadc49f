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
    assert!(!home.ends(0, &["run", "flows/audit.js", "--demo"]).stdout.is_empty());
    assert!(home.ends(1, &["doctor"]).stdout.contains("Settings"));
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
    let home =
        Home::with("divisi.toml", "[tiers]\nhaiku = 'claude-sonnet-5-5'").variable("ANTHROPIC_API_KEY", "k");
    let models = home.ends(0, &["models"]).stdout;
    let haiku = models.lines().find(|line| line.contains("haiku ")).unwrap();
    assert!(haiku.contains("claude-sonnet-5-5"), "{models}");
}

#[test]
fn a_model_without_a_price_is_a_problem_to_the_doctor() {
    let home = Home::with("divisi.toml", "model = 'claude-unheard-of'").variable("ANTHROPIC_API_KEY", "k");
    let said = home.ends(1, &["doctor"]).stdout;
    assert!(said.contains("problem: model `claude-unheard-of` of `anthropic` has no price here"), "{said}");
}

#[test]
fn declarations_completions_and_pages_are_written() {
    let home = Home::new();
    assert!(home.ends(0, &["types"]).stdout.contains("declare function parallel"));
    home.ends(0, &["types", "-o", "divisi.d.ts"]);
    assert!(home.read("divisi.d.ts").contains("declare function parallel"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.ends(0, &["completions", shell]).stdout.contains("decompose"), "{shell}");
    }
    assert!(home.ends(0, &["man"]).stdout.contains(".TH divisi"));
    home.ends(0, &["man", "-o", "man"]);
    assert!(home.read("man/divisi-run.1").contains("divisi"));
}
