//! A plan as JSON.

use super::order;
use crate::display::readable::Readable;
use divisi_core::Site;
use divisi_core::preflight::{Forecast, Graph, Group, Node, Remark};
use serde_json::{Map, Value, json};

/// Incremented when a field changes its meaning or is removed.
const VERSION: u32 = 3;

/// The plan as one JSON object. Tasks are named `t0`, `t1` …, as in their prompts; groups `g0`,
/// `g1` ….
pub(crate) fn render(graph: &Graph, forecast: Option<&Forecast>) -> Value {
    let depths = order::depths(graph);
    let waves: Vec<Vec<String>> = order::waves(graph).iter().map(|wave| tasks(wave)).collect();
    json!({
        "version": VERSION,
        "name": graph.name,
        "tasks": graph.tasks.iter().enumerate().map(|(place, node)| task(place, node, depths[place])).collect::<Vec<_>>(),
        "groups": graph.groups.iter().enumerate().map(|(place, found)| group(place, found)).collect::<Vec<_>>(),
        "waves": waves,
        "longestChain": tasks(&order::longest(graph)),
        "returned": tasks(&graph.returned),
        "open": remarks(&graph.open),
        "unreached": graph.unreached,
        "strays": remarks(&graph.strays),
        "nulls": graph.nulls.iter().map(|found| json!({
            "label": found.label, "site": site(found.site.as_ref()), "word": found.word, "excerpt": found.excerpt,
        })).collect::<Vec<_>>(),
        "uninformed": tasks(&graph.uninformed),
        "checkedByFunctions": tasks(&graph.checked_by_functions),
        "phaseCaps": Readable(&graph.phase_caps),
        "warnings": remarks(&graph.warnings),
        "brokeOff": graph.broke_off.as_ref().map(remark),
        "forecast": Readable(&forecast),
    })
}

/// The flow's request, and what it resolves to here.
fn task(place: usize, node: &Node, wave: usize) -> Value {
    let mut task = Map::from_iter([("id".to_owned(), json!(format!("t{place}")))]);
    task.insert("title".to_owned(), json!(node.label()));
    if let Value::Object(asked) = json!(Readable(&node.task)) {
        task.extend(asked);
    }
    task.extend(Map::from_iter([
        ("site".to_owned(), site(node.site.as_ref())),
        ("wave".to_owned(), json!(wave)),
        ("waits".to_owned(), json!(tasks(&node.waits))),
        ("reads".to_owned(), json!(tasks(&node.reads))),
        (
            "group".to_owned(),
            json!(node.group.map(|group| format!("g{group}"))),
        ),
        ("used".to_owned(), json!(node.used)),
    ]));
    match &node.assigned {
        Ok(assigned) => task.insert("assigned".to_owned(), json!(Readable(assigned))),
        Err(failure) => task.insert("error".to_owned(), json!(failure)),
    };
    Value::Object(task)
}

fn group(place: usize, group: &Group) -> Value {
    json!({
        "id": format!("g{place}"),
        "kind": group.kind,
        "width": group.width,
        "guessed": group.guessed,
        "byResult": group.by_result,
        "site": site(group.site.as_ref()),
        "parent": group.parent.map(|parent| format!("g{parent}")),
    })
}

fn remarks(remarks: &[Remark]) -> Vec<Value> {
    remarks.iter().map(remark).collect()
}

fn remark(remark: &Remark) -> Value {
    json!({"what": remark.what, "site": site(remark.site.as_ref())})
}

fn tasks(places: &[usize]) -> Vec<String> {
    places.iter().map(|place| format!("t{place}")).collect()
}

fn site(site: Option<&Site>) -> Value {
    json!(site.map(|site| json!({"script": site.script, "line": site.line})))
}
