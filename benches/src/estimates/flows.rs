//! The simulated flows: their tasks, and how their agents work.

use super::agents::{About, Agent, GPT, HAIKU, MINI, Model, OPUS, SONNET, about};

/// A flow, by its steps.
#[derive(Clone, Copy)]
pub(super) struct Flow {
    pub(super) name: &'static str,
    pub(super) steps: &'static [Step],
}

/// The tasks that a flow requests at one line.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) phase: &'static str,
    pub(super) kind: &'static str,
    pub(super) model: &'static Model,
    /// The next model of the ladder, and the share of results that the check of the first one
    /// accepts.
    pub(super) above: Option<(&'static Model, f64)>,
    pub(super) width: Width,
    pub(super) names: Names,
    pub(super) has_tools: bool,
    /// Tokens of a prompt without other tasks' results: instructions, tools, and the task.
    pub(super) prompt: About,
    /// Tokens of a prefix that all its tasks share, part of the prompt.
    pub(super) shared: u64,
    pub(super) reads: Reads,
    pub(super) agent: Agent,
}

/// The number of tasks.
#[derive(Clone, Copy)]
pub(super) enum Width {
    /// Fixed by the script.
    Said(u32),
    /// Decided by a result: a list, or rounds of a loop.
    Found(About),
}

/// The labels of tasks.
#[derive(Clone, Copy)]
pub(super) enum Names {
    /// The same label for all.
    One,
    /// A label per item, the same in every run.
    Each,
    /// A label per item that an agent has found, different in every run.
    Found,
}

/// The results that a prompt contains.
#[derive(Clone, Copy)]
pub(super) enum Reads {
    Nothing,
    /// All results of the previous step.
    All,
    /// The result of the same item in the previous step.
    Own,
}

const fn agent(turns: (f64, f64), reply: f64, result: f64, answer: f64) -> Agent {
    Agent {
        turns: about(turns.0, turns.1),
        reply: about(reply, 0.7),
        result: about(result, 1.0),
        answer: about(answer, 0.5),
    }
}

const STEP: Step = Step {
    phase: "work",
    kind: "general",
    model: &SONNET,
    above: None,
    width: Width::Said(1),
    names: Names::Each,
    has_tools: true,
    prompt: about(4_000.0, 0.05),
    shared: 0,
    reads: Reads::Nothing,
    agent: agent((12.0, 0.5), 250.0, 1_200.0, 600.0),
};

/// One answer, no tools.
const fn says(tokens: f64) -> Agent {
    agent((1.0, 0.0), tokens, 0.0, tokens)
}

pub(super) const FLOWS: [Flow; 16] = [
    Flow {
        name: "wide-audit",
        steps: &[Step {
            kind: "review",
            model: &HAIKU,
            width: Width::Said(30),
            prompt: about(3_500.0, 0.02),
            agent: agent((14.0, 0.5), 220.0, 1_500.0, 700.0),
            ..STEP
        }],
    },
    Flow {
        name: "pipeline",
        steps: &[
            Step {
                phase: "find",
                kind: "search",
                model: &HAIKU,
                width: Width::Said(8),
                agent: agent((8.0, 0.5), 150.0, 1_000.0, 300.0),
                ..STEP
            },
            Step {
                phase: "build",
                kind: "feature",
                width: Width::Said(8),
                reads: Reads::Own,
                agent: agent((26.0, 0.6), 380.0, 1_300.0, 500.0),
                ..STEP
            },
            Step {
                phase: "test",
                kind: "test",
                model: &HAIKU,
                width: Width::Said(8),
                reads: Reads::Own,
                agent: agent((12.0, 0.6), 300.0, 900.0, 350.0),
                ..STEP
            },
        ],
    },
    Flow {
        name: "unknown-width",
        steps: &[
            Step {
                phase: "plan",
                kind: "planning",
                model: &OPUS,
                agent: agent((9.0, 0.4), 300.0, 2_000.0, 900.0),
                ..STEP
            },
            Step {
                phase: "audit",
                kind: "review",
                width: Width::Found(about(8.0, 0.25)),
                names: Names::Found,
                agent: agent((16.0, 0.5), 240.0, 1_400.0, 800.0),
                ..STEP
            },
            Step {
                phase: "report",
                kind: "synthesis",
                model: &OPUS,
                has_tools: false,
                prompt: about(1_500.0, 0.03),
                reads: Reads::All,
                agent: says(1_600.0),
                ..STEP
            },
        ],
    },
    Flow {
        name: "scatter-gather",
        steps: &[
            Step {
                phase: "look",
                kind: "review",
                model: &HAIKU,
                width: Width::Said(8),
                prompt: about(3_200.0, 0.001),
                agent: agent((10.0, 0.5), 200.0, 1_100.0, 500.0),
                ..STEP
            },
            Step {
                phase: "gather",
                kind: "planning",
                model: &OPUS,
                has_tools: false,
                prompt: about(900.0, 0.01),
                reads: Reads::All,
                agent: says(1_200.0),
                ..STEP
            },
        ],
    },
    Flow {
        name: "ladder",
        steps: &[Step {
            kind: "bug",
            model: &HAIKU,
            above: Some((&OPUS, 0.55)),
            width: Width::Said(12),
            prompt: about(5_000.0, 0.3),
            agent: agent((28.0, 0.6), 300.0, 1_100.0, 500.0),
            ..STEP
        }],
    },
    Flow {
        name: "shared-context",
        steps: &[Step {
            kind: "explain",
            width: Width::Said(16),
            has_tools: false,
            prompt: about(24_500.0, 0.01),
            shared: 24_000,
            agent: says(600.0),
            ..STEP
        }],
    },
    Flow {
        name: "translate",
        steps: &[Step {
            kind: "translate",
            model: &HAIKU,
            width: Width::Said(40),
            has_tools: false,
            prompt: about(2_600.0, 0.5),
            agent: says(1_800.0),
            ..STEP
        }],
    },
    Flow {
        name: "migration",
        steps: &[
            Step {
                phase: "list",
                kind: "search",
                model: &HAIKU,
                agent: agent((7.0, 0.5), 140.0, 1_500.0, 400.0),
                ..STEP
            },
            Step {
                phase: "migrate",
                kind: "migration",
                width: Width::Found(about(12.0, 0.3)),
                names: Names::Found,
                agent: agent((24.0, 0.7), 420.0, 1_500.0, 300.0),
                ..STEP
            },
        ],
    },
    Flow {
        name: "until-dry",
        steps: &[
            Step {
                phase: "hunt",
                kind: "search",
                width: Width::Found(about(4.0, 0.4)),
                names: Names::One,
                agent: agent((13.0, 0.5), 220.0, 1_800.0, 500.0),
                ..STEP
            },
            Step {
                phase: "verify",
                kind: "bug",
                width: Width::Found(about(9.0, 0.4)),
                names: Names::Found,
                agent: agent((15.0, 0.6), 260.0, 1_200.0, 400.0),
                ..STEP
            },
        ],
    },
    Flow {
        name: "debate",
        steps: &[
            Step {
                phase: "propose",
                kind: "architecture",
                width: Width::Said(3),
                agent: agent((10.0, 0.4), 400.0, 2_200.0, 1_800.0),
                ..STEP
            },
            Step {
                phase: "judge",
                kind: "review",
                model: &OPUS,
                width: Width::Said(2),
                has_tools: false,
                prompt: about(1_200.0, 0.02),
                reads: Reads::All,
                agent: says(900.0),
                ..STEP
            },
        ],
    },
    Flow {
        name: "research",
        steps: &[
            Step {
                phase: "ask",
                kind: "planning",
                model: &OPUS,
                has_tools: false,
                prompt: about(800.0, 0.1),
                agent: says(500.0),
                ..STEP
            },
            Step {
                phase: "read",
                kind: "research",
                width: Width::Found(about(6.0, 0.2)),
                names: Names::Found,
                agent: agent((18.0, 0.5), 260.0, 3_200.0, 1_300.0),
                ..STEP
            },
            Step {
                phase: "write",
                kind: "synthesis",
                model: &OPUS,
                has_tools: false,
                prompt: about(1_000.0, 0.02),
                reads: Reads::All,
                agent: says(2_500.0),
                ..STEP
            },
        ],
    },
    Flow {
        name: "sort-tickets",
        steps: &[Step {
            kind: "classify",
            model: &HAIKU,
            width: Width::Said(60),
            has_tools: false,
            prompt: about(1_100.0, 0.4),
            agent: says(70.0),
            ..STEP
        }],
    },
    Flow {
        name: "three-in-a-row",
        steps: &[
            Step {
                phase: "build",
                kind: "feature",
                agent: agent((32.0, 0.6), 350.0, 1_000.0, 400.0),
                ..STEP
            },
            Step {
                phase: "test",
                kind: "test",
                reads: Reads::All,
                agent: agent((18.0, 0.6), 300.0, 1_100.0, 300.0),
                ..STEP
            },
            Step {
                phase: "deploy",
                kind: "general",
                model: &HAIKU,
                reads: Reads::All,
                agent: agent((6.0, 0.5), 150.0, 600.0, 200.0),
                ..STEP
            },
        ],
    },
    Flow {
        name: "one-large",
        steps: &[Step {
            kind: "architecture",
            model: &OPUS,
            prompt: about(7_000.0, 0.05),
            agent: agent((30.0, 0.5), 500.0, 2_500.0, 3_000.0),
            ..STEP
        }],
    },
    Flow {
        name: "other-vendor",
        steps: &[
            Step {
                phase: "scan",
                kind: "search",
                model: &MINI,
                width: Width::Said(10),
                agent: agent((9.0, 0.5), 300.0, 900.0, 400.0),
                ..STEP
            },
            Step {
                phase: "fix",
                kind: "bug",
                model: &GPT,
                width: Width::Said(10),
                reads: Reads::Own,
                agent: agent((24.0, 0.6), 550.0, 1_200.0, 700.0),
                ..STEP
            },
        ],
    },
    Flow {
        name: "other-ladder",
        steps: &[Step {
            kind: "feature",
            model: &MINI,
            above: Some((&GPT, 0.7)),
            width: Width::Said(10),
            prompt: about(4_500.0, 0.2),
            agent: agent((22.0, 0.6), 500.0, 900.0, 600.0),
            ..STEP
        }],
    },
];
