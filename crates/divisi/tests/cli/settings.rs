use crate::home::{FLOW, Home};

fn complaint(file: &str, text: &str) -> String {
    let home = Home::with("flow.js", FLOW);
    home.write(file, text);
    home.ends(2, &["run", "flow.js", "--demo"]).stderr
}

#[test]
fn a_mistake_in_a_settings_file_is_named_with_its_place() {
    insta::assert_snapshot!(complaint("divisi.toml", "model = 'haiku'\nmax_cots = 5\n"), @r#"
    error: ~/work/divisi.toml, line 2, column 1: there is no setting `max_cots`
      hint: did you mean `max_cost`?
    "#);
    insta::assert_snapshot!(complaint("../.config/divisi/config.toml", "[limits]\nin_flight_max = 'many'\n"), @r#"error: ~/.config/divisi/config.toml, line 2, column 17: invalid type: string "many", expected u32"#);
    insta::assert_snapshot!(Home::with("flow.js", FLOW).variable("DIVISI_TIMEOUT", "soon").ends(2, &["run", "flow.js", "--demo"]).stderr, @"error: the environment variable DIVISI_TIMEOUT: `soon` is no span of time: write it with its unit, like 90s, 10m or 1h30m");
}

#[test]
fn flags_win_over_the_environment_and_that_over_files() {
    let home = Home::with("flow.js", FLOW);
    let model = |home: &Home, flags: &[&str]| {
        home.ends(0, &[&["run", "flow.js", "--demo"], flags].concat());
        let run: serde_json::Value =
            serde_json::from_str(&home.ends(0, &["show", "last", "--json"]).stdout).unwrap();
        run["tasks"][0]["model"].as_str().unwrap().to_owned()
    };
    assert_eq!(model(&home, &[]), "demo-sonnet");
    home.write("../.config/divisi/config.toml", "model = 'haiku'");
    assert_eq!(model(&home, &[]), "demo-haiku");
    home.write("divisi.toml", "model = 'opus'");
    assert_eq!(model(&home, &[]), "demo-opus");
    let home = home.variable("DIVISI_MODEL", "fable");
    assert_eq!(model(&home, &[]), "demo-fable");
    assert_eq!(model(&home, &["--model", "my-own"]), "my-own");
}
