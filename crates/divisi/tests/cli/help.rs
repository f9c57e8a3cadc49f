use crate::home::Home;

#[test]
fn every_page_reads_well() {
    let home = Home::new();
    insta::assert_snapshot!("divisi", home.ends(0, &["--help"]).stdout);
    // The page lists every command, each with two spaces before it.
    let page = home.ends(0, &["--help"]).stdout;
    let listed = page
        .lines()
        .take_while(|line| !line.starts_with("Options:"));
    let commands: Vec<&str> = listed
        .filter_map(|line| line.strip_prefix("  ")?.split_once("  "))
        .map(|(name, _)| name)
        .collect();
    assert!(commands.len() > 30, "{commands:?}");
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
