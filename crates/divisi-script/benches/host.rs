//! The host's own cost per call, without the agent that answers it.
//!
//! `cargo bench -p divisi-script` prints the time of whole runs; divide it by the number of calls.
//! The target is at most 8 µs per call.

use divisi_script::{Answer, Call, Host, HostOptions, Script, TaskAnswer};

fn main() {
    divan::main();
}

/// A fan-out with all answers given in order.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 5, sample_size = 1)]
fn promise_all(calls: u32) {
    run(&format!(
        "return (await Promise.all(Array.from({{ length: {calls} }}, (_, i) => agent(`find ${{i}}`)))).length"
    ));
}

/// The same through `parallel`, in lists of the largest permitted length.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 5, sample_size = 1)]
fn parallel(calls: u32) {
    run(&format!(
        "const lists = Array.from({{ length: Math.ceil({calls} / 4000) }}, (_, l) => Array.from({{ length: Math.min(4000, {calls} - l * 4000) }}, (_, i) => i))
         const schema = {{ type: 'object', properties: {{ found: {{ type: 'array', items: {{ type: 'string' }} }} }}, required: ['found'] }}
         const done = await Promise.all(lists.map(list => parallel(list.map(i => () => agent(`find ${{i}}`, {{ label: `find:${{i}}`, phase: 'Find', schema, model: 'haiku' }})))))
         return done.flat().length"
    ));
}

/// The cost of a script without calls: the engine and the prelude.
#[divan::bench]
fn empty() {
    run("return 1");
}

fn run(source: &str) {
    let script = Script::parse("bench.js", source).expect("the script is one");
    let answer = Answer::Task(TaskAnswer::ok(r#"{"found":["a","b"]}"#));
    let mut options = HostOptions::default();
    options.limits.agents_max = u32::MAX;
    let (mut host, calls) = Host::start(&script, None, options).expect("there is an engine");
    let ids: Vec<_> = calls.iter().filter_map(Call::id).collect();
    drop(calls);
    host.resolve_all(ids.into_iter().map(|id| (id, answer.clone())))
        .expect("all calls are open");
    assert!(host.finished().is_some_and(|result| result.is_ok()));
}
