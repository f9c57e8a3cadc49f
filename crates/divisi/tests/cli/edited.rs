//! A flow that changes between the executions of a run.

use crate::home::Home;

/// A flow whose step may change it, as an agent with permissions could.
fn flow(step: &str, cap: &str) -> String {
    format!(
        "export const meta = {{ name: 'f', description: 'd', phases: [{{ title: 'Work'{cap} }}] }};\n\
         await shell({step:?});\nreturn 'done';\n"
    )
}

#[test]
fn an_edit_is_said_with_what_it_does_to_caps() {
    let home = Home::with("f.js", &flow("true", ", maxCost: 0.5"));
    home.ends(0, &["run", "f.js", "--demo", "--allow", "run"]);
    home.write("f.js", &flow("true", ", maxCost: 20"));
    let said = home.ends(0, &["resume", "last"]).stderr;
    let told = format!(
        "note: ~/work/f.js differs from the flow that run {} knows, and so do the caps of phases: \
         `Work` from $0.5000 to $20.00",
        home.last()
    );
    assert!(said.contains(&told), "{said}");
    assert!(!home.ends(0, &["resume", "last"]).stderr.contains("differs"));
    home.write("f.js", &flow("true", ""));
    assert!(
        home.ends(0, &["resume", "last"])
            .stderr
            .contains("`Work` from $20.00 to none")
    );
    home.write("f.js", &(flow("true", "") + "// a remark\n"));
    let said = home.ends(0, &["resume", "last"]).stderr;
    assert!(
        said.contains(&format!(
            "differs from the flow that run {} knows\n",
            home.last()
        )),
        "{said}"
    );
}

#[test]
fn a_flow_that_changed_while_agents_could_write_needs_a_word() {
    let home = Home::with("f.js", &flow("cp g.js f.js", ", maxCost: 0.5"));
    home.write("g.js", &flow("true", ""));
    home.ends(0, &["run", "f.js", "--demo", "--allow", "run"]);
    let id = home.last();
    for command in [
        &["resume", "last"][..],
        &["rerun", "last", "--failed"],
        &["resume", "last", "-q"],
    ] {
        let said = home.ends(2, command).stderr;
        assert_eq!(
            said,
            format!(
                "error: ~/work/f.js differs from the flow that run {id} knows, and so do the caps of phases: \
                 `Work` from $0.5000 to none; it changed while agents of the run could write\n  \
                 hint: look at it, then say so: `divisi resume {id} --edited`\n  \
                 hint: or put the file back as it was"
            )
        );
    }
    let said = home.ends(0, &["resume", "last", "--edited"]).stderr;
    assert!(said.contains("warning: ~/work/f.js differs"), "{said}");
    // The run's copy of the flow is the changed one now.
    assert!(!home.ends(0, &["resume", "last"]).stderr.contains("differs"));
}

#[test]
fn a_touch_does_not_hide_when_a_flow_was_changed() {
    let home = Home::with(
        "f.js",
        &flow("cp g.js f.js; touch -d '2001-01-01' f.js", ""),
    );
    home.write("g.js", &flow("true", ", maxCost: 900"));
    home.ends(0, &["run", "f.js", "--demo", "--allow", "run"]);
    assert!(
        home.ends(2, &["resume", "last"])
            .stderr
            .contains("it changed while agents")
    );
}

#[test]
fn without_permissions_an_edit_during_the_run_is_only_said() {
    let text = |word: &str| {
        format!(
            "export const meta = {{ name: 'f', description: 'd' }};\nreturn agent('{word}', {{ tools: [] }});\n"
        )
    };
    let home = Home::with("f.js", &text("one"));
    home.ends(0, &["run", "f.js", "--demo"]);
    home.write("f.js", &text("two"));
    let said = home.ends(0, &["resume", "last"]).stderr;
    assert!(said.contains("note: ~/work/f.js differs"), "{said}");
    home.write("f.js", &text("three"));
    assert!(
        !home
            .ends(0, &["resume", "last", "-q"])
            .stderr
            .contains("differs")
    );
}
