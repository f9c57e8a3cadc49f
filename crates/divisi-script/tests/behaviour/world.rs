//! What of the world outside JavaScript itself is there.

use crate::play::{play, result_of};

fn value(expression: &str) -> String {
    result_of(&format!("return {expression}"))
}

#[test]
fn urls_are_read_in_parts() {
    assert_eq!(
        value(
            "(u => [u.href, u.origin, u.host, u.hostname, u.port, u.pathname, u.search, u.hash, u.username, u.password])(new URL('HTTPS://u:p%40@Example.ORG:8443/a/../b c?q=1&r=ü#x y'))"
        ),
        r##"["https://u:p%40@example.org:8443/b%20c?q=1&r=%C3%BC#x%20y","https://example.org:8443","example.org:8443","example.org","8443","/b%20c","?q=1&r=%C3%BC","#x%20y","u","p%40"]"##
    );
}

#[test]
fn urls_are_resolved() {
    for (url, base, whole) in [
        ("b", "http://h/a/c?q#f", "http://h/a/b"),
        ("/b/./c/..", "http://h/a", "http://h/b/"),
        ("../../x", "http://h/a/b/c", "http://h/x"),
        ("?r", "http://h/a?q#f", "http://h/a?r"),
        ("#g", "http://h/a?q#f", "http://h/a?q#g"),
        ("", "http://h/a?q#f", "http://h/a?q"),
        ("//other/x", "https://h/a", "https://other/x"),
        ("http:b", "http://h/a/c", "http://h/a/b"),
        ("mailto:a@b", "http://h", "mailto:a@b"),
        ("file:///a/b", "http://h", "file:///a/b"),
        ("http:\\\\h\\a", "http://x", "http://h/a"),
        ("http://h:80", "http://x", "http://h/"),
        ("http://[::1]:3/", "http://x", "http://[::1]:3/"),
    ] {
        assert_eq!(
            value(&format!("new URL({url:?}, {base:?}).href")),
            format!("{whole:?}"),
            "{url}"
        );
    }
}

#[test]
fn what_is_no_url_throws() {
    for wrong in [
        "",
        "x",
        "/x",
        "http://",
        "http://a b/",
        "http://h:99999/",
        "http://h:x/",
    ] {
        assert_eq!(
            value(&format!("URL.canParse({wrong:?})")),
            "false",
            "{wrong}"
        );
        assert_eq!(
            result_of(&format!(
                "try {{ new URL({wrong:?}) }} catch (e) {{ return e.name }}"
            )),
            "\"TypeError\""
        );
    }
}

#[test]
fn parts_of_urls_can_be_set() {
    let source = "const u = new URL('http://h/a?x=1'); u.hostname = 'i'; u.port = '8080'; u.pathname = 'b'; u.searchParams.append('y', 'a b'); u.hash = 'z'; u.protocol = 'https'; const a = u.href; u.search = '?k=v'; u.port = 'no'; return [a, `${u}`, u.searchParams.get('k'), JSON.stringify({ u })]";
    assert_eq!(
        result_of(source),
        r##"["https://i:8080/b?x=1&y=a+b#z","https://i:8080/b?k=v#z","v","{\"u\":\"https://i:8080/b?k=v#z\"}"]"##
    );
}

#[test]
fn search_params_are_pairs() {
    assert_eq!(
        value(
            "(p => [p.get('a'), p.getAll('b'), p.has('c'), p.size, `${p}`])(new URLSearchParams('?a=1+2&b=%C3%BC&b=3&d'))"
        ),
        r#"["1 2",["ü","3"],false,4,"a=1+2&b=%C3%BC&b=3&d="]"#
    );
    assert_eq!(
        value("`${new URLSearchParams({ z: 1, a: \"!'()~*\" })}`"),
        r#""z=1&a=%21%27%28%29%7E*""#
    );
    assert_eq!(
        result_of(
            "const p = new URLSearchParams([['b', 1], ['a', 2], ['b', 3]]); p.set('b', 4); p.sort(); p.delete('x'); return [...p]"
        ),
        r#"[["a","2"],["b","4"]]"#
    );
}

#[test]
fn texts_become_bytes_and_back() {
    assert_eq!(
        value("Array.from(new TextEncoder().encode('aü€😀'))"),
        "[97,195,188,226,130,172,240,159,152,128]"
    );
    assert_eq!(
        value("new TextDecoder().decode(new TextEncoder().encode('aü€😀'))"),
        "\"aü€😀\""
    );
    assert_eq!(
        value(
            "new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 97, 0xff, 0xe2, 0x82, 98, 0xc0, 0x80, 0xed, 0xa0, 0x80]))"
        ),
        "\"a\u{fffd}\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\""
    );
    assert_eq!(
        result_of(
            "try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])) } catch (e) { return e.name }"
        ),
        "\"TypeError\""
    );
    assert_eq!(
        value("new TextEncoder().encodeInto('aü', new Uint8Array(2))"),
        r#"{"read":1,"written":1}"#
    );
}

#[test]
fn values_are_cloned_deeply() {
    let source = "const a = { d: new Date(5), m: new Map([[1, new Set([2])]]), l: [1, , 3], r: /x/gi, b: new Uint8Array([1, 2]), e: new TypeError('t') }; a.self = a; const c = structuredClone(a); return [c !== a, c.self === c, c.d.getTime(), c.m.get(1).has(2), c.m !== a.m, 1 in c.l, c.r.flags, c.b[1], c.b.buffer !== a.b.buffer, c.e instanceof TypeError]";
    assert_eq!(
        result_of(source),
        r#"[true,true,5,true,true,false,"gi",2,true,true]"#
    );
    assert_eq!(
        result_of("try { structuredClone({ f() {} }) } catch (e) { return e.name }"),
        "\"DataCloneError\""
    );
}

#[test]
fn microtasks_run_and_may_throw() {
    let played = play("queueMicrotask(() => null.x); await agent('y')").run();
    insta::assert_snapshot!(played.warnings().join("\n"), @"warning a callback threw an exception that is not caught: TypeError: cannot read property 'x' of null");
    assert_eq!(
        result_of(
            "let n = 0; queueMicrotask(() => { throw new Error('x') }); queueMicrotask(() => n++); await agent('x'); return n"
        ),
        "1"
    );
}

#[test]
fn the_working_directory_is_a_constant() {
    let played = play("return process.cwd()")
        .options(|options| options.cwd = Some("/repo".into()))
        .run();
    assert_eq!(played.result(), "\"/repo\"");
}

#[test]
fn the_language_is_that_of_2023() {
    let source = "let a = null; a ??= 1_000; return [a, 'x-x'.replaceAll('x', 'y'), [3, 1].toSorted(), [1, 2].at(-1), Object.hasOwn({ b: 1 }, 'b'), [...'a1b2'.matchAll(/(?<l>[a-z])\\d/g)].map(m => m.groups.l), [1, 2, 3].findLast(n => n < 3), Math.imul(3, 4), 'é'.localeCompare('f') < 0]";
    assert_eq!(
        result_of(source),
        r#"[1000,"y-y",[1,3],2,true,["a","b"],2,12,true]"#
    );
}

#[test]
fn local_times_are_utc() {
    for (expression, utc) in [
        (
            "new Date(0).toString()",
            "Thu Jan 01 1970 00:00:00 GMT+0000",
        ),
        (
            "`${new Date(86399999)}`",
            "Thu Jan 01 1970 23:59:59 GMT+0000",
        ),
        ("new Date(0).toDateString()", "Thu Jan 01 1970"),
        ("new Date(0).toTimeString()", "00:00:00 GMT+0000"),
        (
            "new Date(45296000).toLocaleString()",
            "1/1/1970, 12:34:56 PM",
        ),
        ("new Date(0).toLocaleDateString()", "1/1/1970"),
        ("new Date(0).toLocaleTimeString()", "12:00:00 AM"),
        (
            "new Date(2024, 5, 30, 12, 1, 2, 3).toISOString()",
            "2024-06-30T12:01:02.003Z",
        ),
        ("new Date(99, 0).toISOString()", "1999-01-01T00:00:00.000Z"),
        (
            "new Date('2024-03-10T02:30:00').toISOString()",
            "2024-03-10T02:30:00.000Z",
        ),
        (
            "new Date('2024-03-10T02:30:00+09:00').toISOString()",
            "2024-03-09T17:30:00.000Z",
        ),
        (
            "new Date('2024-03-10').toISOString()",
            "2024-03-10T00:00:00.000Z",
        ),
        (
            "new Date('Mar 10 2024 02:30').toISOString()",
            "2024-03-10T02:30:00.000Z",
        ),
        (
            "new Date('Sun, 10 Mar 2024 02:30:00 GMT').toISOString()",
            "2024-03-10T02:30:00.000Z",
        ),
        (
            "new Date(new Date(7)).toISOString()",
            "1970-01-01T00:00:00.007Z",
        ),
        (
            "new Date(Date.parse('2024-03-10 02:30')).toISOString()",
            "2024-03-10T02:30:00.000Z",
        ),
        ("new Date('no date').toString()", "Invalid Date"),
    ] {
        assert_eq!(value(expression), format!("{utc:?}"), "{expression}");
    }
    let parts = "(d => [d.getFullYear(), d.getMonth(), d.getDate(), d.getDay(), d.getHours(), d.getMinutes(), d.getTimezoneOffset(), d.getYear()])(new Date(3600000))";
    assert_eq!(value(parts), "[1970,0,1,4,1,0,0,70]");
    let set =
        "(d => (d.setHours(5, 6), d.setDate(2), d.setYear(85), d.toISOString()))(new Date(0))";
    assert_eq!(value(set), "\"1985-01-02T05:06:00.000Z\"");
    assert_eq!(
        value(
            "[new Date(undefined).getTimezoneOffset(), new Date(null).getTime(), new Date(true).getTime()]"
        ),
        "[null,null,1]"
    );
}
