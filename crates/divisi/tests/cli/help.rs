use crate::home::Home;

#[test]
fn every_page_reads_well() {
    let home = Home::new();
    insta::assert_snapshot!("divisi", home.ends(0, &["--help"]).stdout);
    let commands = [
        "run",
        "ask",
        "map",
        "pipe",
        "decompose",
        "check",
        "resume",
        "rerun",
        "answer",
        "pick",
        "plan",
        "runs",
        "results",
        "show",
        "watch",
        "cost",
        "search",
        "diff",
        "export",
        "import",
        "rm",
        "gc",
        "models",
        "init",
        "doctor",
        "trust",
        "settings",
        "types",
        "completions",
        "man",
    ];
    for command in commands {
        insta::assert_snapshot!(command, home.ends(0, &[command, "--help"]).stdout);
    }
}

#[test]
fn without_a_command_the_help_is_shown_as_a_complaint() {
    let said = Home::new().ends(2, &[]);
    assert!(said.stdout.is_empty());
    assert!(said.stderr.contains("The four patterns:"));
}

#[test]
fn the_version_is_said() {
    assert_eq!(
        Home::new().ends(0, &["--version"]).stdout,
        concat!("divisi ", env!("CARGO_PKG_VERSION"))
    );
}
