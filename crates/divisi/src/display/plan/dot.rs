//! A plan in the Graphviz language.

use super::fold::Folded;
use super::models;
use crate::text;
use divisi_core::preflight::Graph;
use std::fmt::Write;

/// The plan as a `digraph`. A solid line is a result that is read, a dashed one only a wait.
pub(crate) fn render(graph: &Graph) -> String {
    let folded = Folded::of(graph, true);
    let mut text = format!(
        "digraph {} {{\n  rankdir=LR\n  node [shape=box, style=rounded]\n",
        quoted(&graph.name)
    );
    // Writing to a string cannot fail.
    for (number, stack) in folded.stacks.iter().enumerate() {
        let models = models(&graph.tasks[stack.tasks[0]], " → ").unwrap_or_default();
        let label = format!("{}\n{models}", folded.name(number));
        let _ = writeln!(text, "  s{number} [label={}]", quoted(label.trim_end()));
    }
    for (number, stack) in folded.stacks.iter().enumerate() {
        for before in stack.waits.union(&stack.reads) {
            let style = if stack.reads.contains(before) {
                ""
            } else {
                " [style=dashed]"
            };
            let _ = writeln!(text, "  s{before} -> s{number}{style}");
        }
    }
    text + "}"
}

fn quoted(text: &str) -> String {
    let text = text::block(text)
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{text}\"")
}
