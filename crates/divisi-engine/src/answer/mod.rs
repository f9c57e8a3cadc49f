//! Extracts the answer of a reply: models on local servers write their thoughts before it, between
//! tags.

mod schema;

pub use schema::violations;
pub(crate) use schema::{Checked, misfit};

/// Tags around thoughts, in lower case.
const MARKS: [(&str, &str); 8] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel>thought", "<channel|>"),
];

/// `said` without the thoughts before the answer. Unfinished thoughts leave an empty answer.
///
/// If a model's template writes the opening tag, only the closing one is in the reply. It counts
/// only on a line of its own, because an answer may mention it.
pub(crate) fn of(said: &str) -> &str {
    let mut rest = said.trim();
    let mut has_thought = false;
    while let Some((open, close)) = MARKS.into_iter().find(|(open, _)| starts_with(rest, open)) {
        has_thought = true;
        rest = match find(&rest[open.len()..], close) {
            Some(at) => rest[open.len() + at + close.len()..].trim(),
            None => return "",
        };
    }
    if has_thought {
        return rest;
    }
    let mut at = 0;
    let mut in_fence = false;
    for line in said.split_inclusive('\n') {
        at += line.len();
        let line = line.trim();
        in_fence ^= line.starts_with("```");
        if !in_fence
            && MARKS
                .iter()
                .any(|(_, close)| line.eq_ignore_ascii_case(close))
        {
            return said[at..].trim();
        }
    }
    rest
}

fn starts_with(text: &str, mark: &str) -> bool {
    text.get(..mark.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(mark))
}

fn find(text: &str, mark: &str) -> Option<usize> {
    // ASCII only, so that byte offsets stay the same.
    text.to_ascii_lowercase().find(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_before_the_answer_are_none_of_it() {
        for said in [
            "<think>\nmusings\n</think>\n\nThe result.",
            "<THINK>a {x}</Think>The result.",
            "<think>a</think>\n<think>b</think>The result.",
            "◁think▷ü◁/think▷ The result.",
            "One claim {x}.\n</think>\n\nThe result.",
            "  The result.\n",
        ] {
            assert_eq!(of(said), "The result.", "{said}");
        }
        assert_eq!(of("<think>and so on"), "");
        assert_eq!(of("<think></think>"), "");
    }

    #[test]
    fn an_answer_may_speak_of_marks() {
        for said in [
            "The tag </think> ends them, <think> begins.",
            "Write:\n```\n</think>\n```\nThat is it.",
        ] {
            assert_eq!(of(said), said);
        }
    }
}
