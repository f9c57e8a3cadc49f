//! The system prompt of agents.
//!
//! Prompts of flows are written for agents that know they are called by a program. The texts are
//! fixed: they contain no date, no folder and no id. Parts shared by more tasks come first, so that
//! vendors can cache them.

use crate::agents::AgentDefinition;
pub use divisi_core::check::refused;

const AGENT: &str = include_str!("framing/agent.txt");
const TOOLS: &str = include_str!("framing/tools.txt");
const SCHEMA: &str = include_str!("framing/schema.txt");

/// The system prompt of a judge.
pub const JUDGE: &str = include_str!("framing/judge.txt");

/// The blocks of a system prompt, the most widely shared first.
///
/// `framing_override` replaces the built-in text about being an agent; an empty one removes it.
/// `tools` and `schema` say whether the task has any.
pub fn system_blocks(
    framing_override: Option<&str>,
    agent: Option<&AgentDefinition>,
    tools: bool,
    schema: bool,
) -> Vec<String> {
    let texts = [
        Some(framing_override.unwrap_or(AGENT)),
        tools.then_some(TOOLS),
        agent.map(|agent| agent.prompt.as_str()),
        schema.then_some(SCHEMA),
    ];
    let texts = texts
        .into_iter()
        .flatten()
        .map(str::trim)
        .filter(|text| !text.is_empty());
    texts.map(str::to_owned).collect()
}

/// The prompt for a judge.
pub fn verdict(rubric: &str, task: &str, result: &str) -> String {
    format!(
        "# Rubric\n\n{rubric}\n\n# Task\n\n{}\n\n# Result\n\n{result}",
        task.trim()
    )
}

/// The message after an answer that does not fit the schema.
pub fn repair(violations: &str) -> String {
    format!(
        "The answer does not fit the schema:\n{violations}\nAnswer again, with the corrected JSON only."
    )
}

/// The message after an empty reply.
pub(crate) const EMPTY: &str = "Your last reply was empty. Answer now, in words.";

/// The message after a reply that stopped to call a tool without calling one.
pub(crate) const NO_CALL: &str = "Your last reply stopped to call a tool, but held no call. Call the tool, or give your final answer.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::Agents;

    #[test]
    fn each_task_is_told_what_concerns_it() {
        let agents = Agents::built_in();
        let explore = agents.get("Explore").unwrap();
        let blocks = |tools, schema| system_blocks(None, Some(explore), tools, schema);
        let [agent, tools, schema] = [AGENT, TOOLS, SCHEMA].map(str::trim);
        assert_eq!(blocks(false, false), [agent, &explore.prompt]);
        assert_eq!(blocks(true, true), [agent, tools, &explore.prompt, schema]);
        assert_eq!(system_blocks(None, None, false, false), [agent]);
    }

    #[test]
    fn the_framing_can_be_replaced_or_left_out() {
        assert_eq!(
            system_blocks(Some("Be brief.\n"), None, false, false),
            ["Be brief."]
        );
        assert_eq!(system_blocks(Some(""), None, false, false), [""; 0]);
    }

    #[test]
    fn the_framing_is_short() {
        let words: usize = [AGENT, TOOLS, SCHEMA]
            .iter()
            .map(|text| text.split_whitespace().count())
            .sum();
        assert!(words < 150, "{words} words");
    }
}
