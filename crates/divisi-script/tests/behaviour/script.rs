//! The script itself: its form, its `meta`, what it may not do.

use crate::play::{error_of, play, result_of};
use divisi_script::{ErrorKind, Script};
use serde_json::json;

fn parse_error(source: &str) -> String {
    let error = Script::parse("flow.js", source).expect_err("this is no script");
    match error.hint() {
        Some(hint) => format!("{error}\n  hint: {hint}"),
        None => error.to_string(),
    }
}

const META: &str = "export const meta = { name: 'a', description: 'b' }\n";

#[test]
fn the_body_awaits_and_returns_at_the_top() {
    assert_eq!(
        result_of("const a = await agent('x'); return { a, b: [1, undefined] }"),
        r#"{"a":"x","b":[1,null]}"#
    );
}

#[test]
fn no_return_is_null() {
    assert_eq!(result_of("await agent('x')"), "null");
}

#[test]
fn keys_keep_their_order() {
    assert_eq!(result_of("return { b: 1, a: 2 }"), r#"{"b":1,"a":2}"#);
}

#[test]
fn meta_is_read_without_running() {
    let script = Script::parse(
        "audit.js",
        "// A comment.\n\n/* Another. */\n'use strict';\nexport const meta = {\n  name: 'audit', description: `All of it`,\n  whenToUse: \"often\", phases: [{ title: 'Read', detail: 'd', model: 'opus' }, { title: 'Join' }],\n}\nreturn meta.name",
    )
    .unwrap();
    let meta = script.meta();
    assert_eq!(
        (meta.name.as_str(), meta.description.as_str()),
        ("audit", "All of it")
    );
    assert_eq!(meta.when_to_use.as_deref(), Some("often"));
    assert_eq!(meta.phases.len(), 2);
    assert_eq!(meta.phases[0].model.as_deref(), Some("opus"));
    assert!(script.warnings().is_empty());
}

#[test]
fn meta_stays_readable_for_the_script() {
    assert_eq!(result_of(&format!("{META}return meta.name")), r#""a""#);
}

#[test]
fn meta_needs_a_name_and_a_description() {
    insta::assert_snapshot!(parse_error("export const meta = { name: 'a' }"), @r"
    script `flow.js` cannot be read at line 1: `meta.description` is missing
      hint: `meta` needs a `name` and a `description`, both texts
    ");
    insta::assert_snapshot!(parse_error("\nexport const meta = { description: 'a', name: ' ' }"), @r"
    script `flow.js` cannot be read at line 2: `meta.name` is missing
      hint: `meta` needs a `name` and a `description`, both texts
    ");
}

#[test]
fn meta_is_a_plain_literal() {
    insta::assert_snapshot!(parse_error("export const meta = {\n  name: 'a',\n  description: `b${1}`,\n}"), @r"
    script `flow.js` cannot be read at line 3: `meta` has to be a plain literal, but there is a template with `${…}`
      hint: write out texts, numbers, lists and objects; it is read before anything runs
    ");
    insta::assert_snapshot!(parse_error("export const meta = Object.freeze({})"), @r"
    script `flow.js` cannot be read at line 1: `meta` has to be a plain literal, but there is the variable `Object`
      hint: write out texts, numbers, lists and objects; it is read before anything runs
    ");
    insta::assert_snapshot!(parse_error("export const meta = { name: 'a', description: 'b' }.c"), @r"
    script `flow.js` cannot be read at line 1: `meta` has to be a plain literal, but there is `.` after it
      hint: write out texts, numbers, lists and objects; it is read before anything runs
    ");
}

#[test]
fn code_before_meta_is_refused() {
    insta::assert_snapshot!(parse_error(&format!("// x\nconst a = 1\n{META}")), @r"
    script `flow.js` cannot be read at line 2: `meta` has to come first, but there is code before it
      hint: move `export const meta = {…}` to the top; only comments may precede it
    ");
}

#[test]
fn unknown_keys_of_meta_are_warned_of() {
    let script = Script::parse(
        "a.js",
        "export const meta = { name: 'a', description: 'b', usage: 'c', phases: 'd' }",
    )
    .unwrap();
    let warnings: Vec<&str> = script
        .warnings()
        .iter()
        .map(|warning| warning.message.as_str())
        .collect();
    insta::assert_debug_snapshot!(warnings, @r#"
    [
        "`meta.phases` is not a list of `{title}`",
        "`meta.usage` means nothing here",
    ]
    "#);
}

#[test]
fn a_script_without_meta_has_the_name_of_its_file() {
    let script = Script::parse("flows/audit.flow.js", "return 1").unwrap();
    assert_eq!(script.meta().name, "audit");
    assert_eq!(script.warnings()[0].message, "the script has no `meta`");
}

#[test]
fn a_syntax_error_names_its_line() {
    insta::assert_snapshot!(parse_error(&format!("{META}\nconst a = = 1")), @"script `flow.js` cannot be read at line 3: unexpected token in expression: '='");
    insta::assert_snapshot!(parse_error(&format!("{META}if (true) {{\n  log('x')\n")), @"script `flow.js` cannot be read at line 2: `{` is never closed");
    insta::assert_snapshot!(parse_error(&format!("{META}log('x'))\nreturn 1")), @"script `flow.js` cannot be read at line 2: `)` closes nothing");
    insta::assert_snapshot!(parse_error("return 1 }\nlog('x')"), @"script `flow.js` cannot be read at line 1: `}` closes nothing");
}

#[test]
fn typescript_does_not_parse() {
    assert!(parse_error("interface A { b: string }").contains("at line 1"));
    assert!(parse_error("const a: string = 'x'").contains("at line 1"));
}

#[test]
fn modules_are_refused_before_the_run() {
    insta::assert_snapshot!(parse_error(&format!("{META}import fs from 'fs'")), @r"
    script `flow.js` cannot be read at line 2: `import` loads a module
      hint: a script is one file; let an agent do what the module would have done
    ");
    insta::assert_snapshot!(parse_error("const fs = await import('fs')"), @r"
    script `flow.js` cannot be read at line 1: `import()` loads a module
      hint: a script is one file; let an agent do what the module would have done
    ");
    insta::assert_snapshot!(parse_error("\nconst fs = require('fs')"), @r"
    script `flow.js` cannot be read at line 2: `require` loads a module
      hint: a script is one file; let an agent do what the module would have done
    ");
    insta::assert_snapshot!(parse_error("export default async () => {}"), @r"
    script `flow.js` cannot be read at line 1: only `meta` can be exported
      hint: `return` the result; the text of the script is a function's body
    ");
}

#[test]
fn texts_may_mention_what_code_may_not_do() {
    let source = format!(
        "{META}// import x from 'y'; export default 1\n\
         const a = 'import(\"x\") require(\"y\") Date.now() Math.random()'\n\
         const b = {{ import: 1, require: 2 }}\n\
         return [a.length, b.import, /import(x)/.test(a), `require('x') ${{b.require}}`]"
    );
    assert_eq!(result_of(&source), r#"[49,1,false,"require('x') 2"]"#);
}

#[test]
fn the_clock_and_chance_throw_when_they_are_asked() {
    insta::assert_snapshot!(error_of("return Date.now()"), @"script `flow.js` failed at line 1: Error: Date.now() gives another value when a run is resumed: pass the time or a seed in through `args`");
    insta::assert_snapshot!(error_of("\n\nreturn Math.random()"), @"script `flow.js` failed at line 3: Error: Math.random() gives another value when a run is resumed: pass the time or a seed in through `args`");
    insta::assert_snapshot!(error_of("return new Date()"), @"script `flow.js` failed at line 1: Error: new Date() gives another value when a run is resumed: pass the time or a seed in through `args`");
    insta::assert_snapshot!(error_of("return Date()"), @"script `flow.js` failed at line 1: Error: Date() gives another value when a run is resumed: pass the time or a seed in through `args`");
    assert_eq!(
        result_of(
            "const f = () => Date.now(); const d = new Date(0); return [d.toISOString(), d instanceof Date, d.constructor === Date, Date.UTC(1970, 0, 2), Date.parse('1970-01-01T00:00:01Z'), typeof f]"
        ),
        r#"["1970-01-01T00:00:00.000Z",true,true,86400000,1000,"function"]"#
    );
}

#[test]
fn what_reaches_out_is_not_there() {
    let names = "require fetch setImmediate performance crypto XMLHttpRequest Deno Bun navigator";
    let source = format!("return '{names}'.split(' ').map(name => typeof globalThis[name])");
    assert!(!result_of(&source).contains("function"));
    assert_eq!(
        result_of("return [typeof require, typeof fetch, typeof process.env, typeof import_]"),
        r#"["undefined","undefined","undefined","undefined"]"#
    );
}

#[test]
fn args_are_values_or_texts_as_given() {
    let source = "return [typeof args, args?.list?.[1] ?? args ?? 'none']";
    assert_eq!(
        play(source).args(json!({ "list": [1, 2] })).run().result(),
        r#"["object",2]"#
    );
    assert_eq!(
        play(source).args(json!("text")).run().result(),
        r#"["string","text"]"#
    );
    assert_eq!(result_of(source), r#"["undefined","none"]"#);
}

#[test]
fn a_script_may_have_variables_named_like_globals() {
    assert_eq!(
        result_of("const log = 1; function phase() { return 2 } return [log, phase()]"),
        "[1,2]"
    );
}

#[test]
fn a_byte_order_mark_and_a_hashbang_are_passed_over() {
    assert_eq!(result_of("\u{feff}#!/usr/bin/env divisi\nreturn 1"), "1");
}

#[test]
fn a_comment_ends_with_any_line_end() {
    for end in ["\n", "\r\n", "\r", "\u{2028}", "\u{2029}"] {
        let source = format!(
            "// a comment{end}export const meta = {{ name: 'm', description: 'd' }};{end}return 1"
        );
        let script = Script::parse("flow.js", &source).unwrap();
        assert_eq!(
            (script.meta().name.as_str(), result_of(&source).as_str()),
            ("m", "1"),
            "{end:?}"
        );
    }
}

#[test]
fn a_script_may_end_in_a_comment() {
    assert_eq!(result_of("return 1 // done"), "1");
}

#[test]
fn more_than_a_megabyte_is_too_long() {
    let error = Script::parse("flow.js", &" ".repeat(1024 * 1024 + 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Length);
    insta::assert_snapshot!(error, @"script `flow.js` is too long: 1048577 bytes, 1048576 are allowed");
    assert!(Script::parse("flow.js", &format!("return '{}'", "x".repeat(1_000_000))).is_ok());
}
