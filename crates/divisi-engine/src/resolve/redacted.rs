//! A task without secrets.

use divisi_core::Task;
use divisi_core::check::Check;
use divisi_providers::redact::{Known, known};
use serde_json::Value;
use std::sync::Arc;

/// The task as recorded and executed, and whether a secret was removed.
///
/// Its key is computed from the unredacted task: so it does not depend on which secrets were known
/// at the time, and a hash reveals nothing about a secret.
pub(super) fn redacted(mut task: Task) -> (Task, bool) {
    let known = known();
    let mut is_cut = false;
    let mut text = |text: &mut Arc<str>| {
        let left = known.shared(text.clone());
        is_cut |= !Arc::ptr_eq(&left, text);
        *text = left;
    };
    text(&mut task.prompt);
    let optional = [
        &mut task.context,
        &mut task.label,
        &mut task.phase,
        &mut task.kind,
        &mut task.agent_type,
    ];
    optional.into_iter().flatten().for_each(&mut text);
    for check in &mut task.check {
        match check {
            Check::Command(command) => text(command),
            Check::Judge(judge) => text(&mut judge.rubric),
            Check::Schema(_) => {}
        }
    }
    let in_checks = task.check.iter_mut().filter_map(|check| match check {
        Check::Schema(schema) => Some(schema),
        Check::Command(_) | Check::Judge(_) => None,
    });
    for schema in task.schema.iter_mut().chain(in_checks) {
        is_cut |= cut_value(&known, schema);
    }
    (task, is_cut)
}

fn cut_value(known: &Known, value: &mut Arc<Value>) -> bool {
    let is_cut = known.is_in_value(value);
    if is_cut {
        known.value(Arc::make_mut(value));
    }
    is_cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_core::check::Judge;
    use divisi_providers::redact::add_secret;
    use serde_json::json;

    #[test]
    fn a_secret_is_cut_out_of_all_that_is_said() {
        const KEY: &str = "task-key-0123456789";
        add_secret(KEY);
        let task = Task {
            prompt: format!("use {KEY}").into(),
            context: Some(KEY.into()),
            label: Some(KEY.into()),
            phase: Some(KEY.into()),
            schema: Some(Arc::new(json!({"const": KEY}))),
            check: vec![
                Check::Command(format!("grep {KEY}").into()),
                Check::Judge(Judge {
                    rubric: KEY.into(),
                    model: None,
                    threshold: 7,
                }),
                Check::Schema(Arc::new(json!({"title": KEY}))),
            ],
            ..Task::default()
        };
        let (cut, is_cut) = redacted(task);
        let json = serde_json::to_string(&cut).unwrap();
        assert!(is_cut && !json.contains(KEY), "{json}");
        assert!(!redacted(cut).1);
    }
}
