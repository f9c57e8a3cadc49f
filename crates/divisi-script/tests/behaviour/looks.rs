//! What a host notes of the looks of a script at marked results.

use divisi_script::{
    Answer, Call, Host, HostOptions, Look, LookAt, Script, TaskAnswer, TextTest, TextTest::*,
};
use serde_json::{Value, json};

/// The looks of a script whose tasks all have the result `value`, and its own result.
fn looks(source: &str, value: &Value) -> (Vec<Look>, String) {
    let script = Script::parse("flow.js", source).expect("a script");
    let options = HostOptions {
        mark: Some("⟦"),
        ..HostOptions::default()
    };
    let (mut host, calls) = Host::start(&script, None, options).expect("a host");
    let mut waiting: Vec<Call> = calls;
    let mut looks = vec![];
    while let Some(call) = waiting.pop() {
        if let Some(id) = call.id() {
            let answer = Answer::Task(TaskAnswer::ok(value.to_string()));
            waiting.extend(host.resolve(id, answer).expect("an open call"));
            looks.extend(host.take_looks());
        }
    }
    (
        looks,
        host.finished()
            .expect("an end")
            .expect("a result")
            .to_string(),
    )
}

fn fields(source: &str, value: &Value) -> Vec<(String, bool, u32)> {
    let field = |look: Look| match look.at {
        LookAt::Field { path, decides, .. } => Some((path, decides, look.before.0)),
        LookAt::Text { .. } => None,
    };
    looks(source, value)
        .0
        .into_iter()
        .filter_map(field)
        .collect()
}

fn tests(source: &str, value: &Value) -> Vec<(String, TextTest)> {
    let test = |look: Look| match look.at {
        LookAt::Text { text, test } => Some((text, test)),
        LookAt::Field { .. } => None,
    };
    looks(source, value)
        .0
        .into_iter()
        .filter_map(test)
        .collect()
}

#[test]
fn fields_are_noted_with_the_calls_before() {
    let value = json!({"ok": true, "list": [{"title": "⟦a⟧"}], "unused": 1});
    let source = "const r = await agent('a')\nconst titles = r.list.map((x) => x.title)\nawait agent('b')\nreturn r.ok && titles";
    let field = |path: &str, decides, before| (path.to_owned(), decides, before);
    assert_eq!(
        fields(source, &value),
        [
            field("list", false, 1),
            field("list.title", false, 1),
            field("ok", true, 2)
        ]
    );
}

#[test]
fn only_a_length_that_the_script_asks_for_decides() {
    let value = json!({"list": ["⟦a⟧"], "n": 3});
    let of = |source: &str| {
        fields(
            &format!("const r = await agent('a');\n{source}\nreturn 0"),
            &value,
        )
    };
    let list = |decides| [("list".to_owned(), decides, 1)];
    assert_eq!(
        of("const all = []; all.push(...r.list); r.list.map((x) => 0)"),
        list(false)
    );
    assert_eq!(of("if (r.list.length > 3) log('many')"), list(true));
}

#[test]
fn tests_of_marked_texts_are_noted() {
    let mark = "⟦t0·x⟧";
    let test = |test| (mark.to_owned(), test);
    let source = "const t = await agent('a')\nt.startsWith('docs/'); /^v\\d+/.test(t); ['a', 'b'].includes(t); [t].includes('c'); new Set(['d']).has(t); 'plain'.includes('p'); t.replace(/x/, 'y'); return 0";
    let among = |texts: &[&str]| test(Among(texts.iter().map(|text| (*text).to_owned()).collect()));
    assert_eq!(
        tests(source, &json!(mark)),
        [
            test(Starts("docs/".to_owned())),
            test(Matches("^v\\d+".to_owned())),
            among(&["a", "b"]),
            among(&["c"]),
            among(&["d"]),
        ]
    );
}

#[test]
fn watched_results_behave_like_others() {
    let value = json!({"list": [3, 1, 2], "inner": {"text": "x"}});
    let source = "const r = await agent('a')\nObject.freeze(r); const copy = structuredClone({ ...r }); copy.list.push(4); const [first] = r.list\nreturn { r, copy, first, same: r.inner === r.inner, is: Array.isArray(r.list), sorted: [...r.list].sort(), flat: [r.list].flat(), joined: r.list.join(), keys: Object.keys(r) }";
    let (_, result) = looks(source, &value);
    assert_eq!(
        result,
        r#"{"r":{"list":[3,1,2],"inner":{"text":"x"}},"copy":{"list":[3,1,2,4],"inner":{"text":"x"}},"first":3,"same":true,"is":true,"sorted":[1,2,3],"flat":[3,1,2],"joined":"3,1,2","keys":["list","inner"]}"#
    );
}
