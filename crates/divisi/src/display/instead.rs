//! Models that answered instead of the requested ones.

use super::look::{Line, Tone};
use super::number;
use crate::text;
use divisi_core::RunView;
use divisi_core::price::is_same_model;
use divisi_core::view::TaskView;
use std::collections::BTreeMap;

/// The requested models of a task whose latest reply came from another one.
pub(crate) fn asked(view: &RunView, task: &TaskView) -> Option<String> {
    let (asked, answered) = (view.ladder_of(task), view.model_of(task)?);
    let as_asked = asked.is_empty() || asked.iter().any(|asked| is_same_model(asked, answered));
    (!as_asked).then(|| {
        asked
            .into_iter()
            .map(|model| &**model)
            .collect::<Vec<_>>()
            .join(", then ")
    })
}

/// One line for each model that answered instead of another.
pub(crate) fn lines(view: &RunView) -> Vec<Line> {
    let mut found: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for (_, task) in view.current() {
        if let (Some(asked), Some(answered)) = (asked(view, task), view.model_of(task)) {
            *found.entry((asked, answered)).or_default() += 1;
        }
    }
    let line = |((asked, answered), tasks): ((String, &str), u64)| {
        let tasks = number::counted(tasks, "task", "tasks");
        let told = text::line(&format!(
            "{answered} answered {tasks} that asked for {asked}"
        ));
        Line::of(Tone::Warn, "other model: ").plain(told)
    };
    found.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::look::{Look, page};
    use super::super::show::tree;
    use super::super::story::Story;
    use super::*;
    use divisi_core::event::{Times, Turn};
    use divisi_core::{AttemptId, Content, Digest, Input, Millis, PicoUsd, Usage};

    #[test]
    fn another_model_is_shown_and_another_edition_is_not() {
        let mut story = Story::begin(2);
        for (label, answered) in [
            ("auth", "claude-haiku-5-5-20261007"),
            ("user", "claude-opus-5-5"),
        ] {
            let task = story.task(label, "", "claude-haiku-5-5");
            let turn = Box::new(Turn {
                request: Digest::of(label.as_bytes()),
                reply: Content::Inline("{}".into()),
                model: answered.into(),
                usage: Usage::default(),
                cost: PicoUsd::ZERO,
                judges: false,
                estimated: false,
                took: Millis(1),
                times: Times::default(),
            });
            story.input(Input::TurnEnded {
                attempt: AttemptId { task, number: 1 },
                turn,
            });
        }
        let look = Look {
            color: false,
            unicode: true,
            width: 100,
            demo: false,
        };
        insta::assert_snapshot!(page(&lines(&story.view()), &look), @"other model: claude-opus-5-5 answered 1 task that asked for claude-haiku-5-5");
        let tree = page(
            &tree(
                &Story::id(),
                (&story.view(), &[]),
                "running",
                true,
                story.now(),
                &look,
            ),
            &look,
        );
        assert!(
            tree.contains("claude-opus-5-5, not claude-haiku-5-5"),
            "{tree}"
        );
        assert!(tree.contains("claude-haiku-5-5-20261007 "), "{tree}");
    }
}
