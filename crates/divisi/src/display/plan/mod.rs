//! A flow before it runs: as a tree, a drawing, or a list.
//!
//! All of them show the folded graph: tasks that differ only in their item are one line, or one
//! box, with a count.

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

/// What runs a task: its models, or the executor that uses none.
fn models(node: &Node, between: &str) -> Option<String> {
    let assigned = node.assigned.as_ref().ok()?;
    let models: Vec<&str> = assigned.rungs.iter().map(|rung| &*rung.model).collect();
    Some(if models.is_empty() {
        assigned.executor.to_string()
    } else {
        models.join(between)
    })
}

/// The line of a script, without the directories of its file.
fn place(site: &Site) -> String {
    let file = site
        .script
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or(&site.script);
    format!("{file}:{}", site.line)
}
