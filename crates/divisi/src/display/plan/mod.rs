//! What a person sees of a flow before it runs: a tree, a drawing, a list.
//!
//! All of them show a graph folded: tasks that differ in their item only
//! are one line, or one box, with their number.

mod fold;
mod order;

pub(crate) use fold::readable;

pub(crate) mod money;
pub(crate) mod simulated;
pub(crate) mod tree;

pub(crate) mod dot;
pub(crate) mod svg;

pub(crate) mod json;

#[cfg(test)]
mod tests;

use divisi_core::Site;
use divisi_core::preflight::Node;

/// What carries a task out: its models, or the executor that asks none.
fn models(node: &Node, between: &str) -> Option<String> {
    let assigned = node.assigned.as_ref().ok()?;
    let models: Vec<&str> = assigned.rungs.iter().map(|rung| &*rung.model).collect();
    Some(if models.is_empty() {
        assigned.executor.to_string()
    } else {
        models.join(between)
    })
}

/// The line of a script, without the folders of its file.
fn place(site: &Site) -> String {
    let file = site
        .script
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or(&site.script);
    format!("{file}:{}", site.line)
}
