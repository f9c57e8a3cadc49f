//! Makes the graph that a dry run of a flow would show, and its forecast.

use super::agents::{GPT, HAIKU, MINI, Model, OPUS, SONNET, TURNS_MAX};
use super::flows::{Flow, Names, Reads, Step, Width};
use super::play::{label, line, prompt};
use divisi_core::check::{Check, Judge};
use divisi_core::event::GroupKind;
use divisi_core::preflight::{
    Assigned, AttemptCost, Bounds, Forecast, Forecaster, Graph, Group, Guess, Node, Priors, Rung,
    Site, Use,
};
use divisi_core::{History, Millis, Task, Tier};

/// Elements of a list without observations, as in a dry run.
const WIDTH: usize = 3;

/// The forecast of `divisi plan` for `flow` with this history.
pub(super) fn plan(flow: &Flow, history: &History, inputs: u64, draws: u32) -> Forecast {
    let bounds = Bounds {
        draws,
        ..Bounds::default()
    };
    let forecaster = Forecaster::new(history, Priors::default())
        .of_flow(flow.name)
        .within(bounds);
    let mut graph = graph(flow, history, inputs);
    forecaster.count_results(&mut graph);
    forecaster.graph(&graph, &|tier| tier_of(flow, tier), 1)
}

fn graph(flow: &Flow, history: &History, inputs: u64) -> Graph {
    let mut graph = Graph {
        name: flow.name.into(),
        ..Graph::default()
    };
    let shapes = history.shapes_of(flow.name);
    let mut before = 0..0;
    for (place, step) in flow.steps.iter().enumerate() {
        let seen = shapes.widths(&(None, line(place)));
        let guessed = matches!(step.width, Width::Found(_));
        let mut guess = Guess {
            seen,
            ..Guess::default()
        };
        guess.counted = match step.width {
            Width::Said(width) => width as usize,
            // As in a dry run.
            Width::Found(_) if guess.seen.is_empty() => WIDTH,
            Width::Found(_) => guess.expected(),
        };
        let width = guess.counted as u32;
        let site = Site {
            script: "flow.js".into(),
            line: line(place),
        };
        graph.groups.push(Group {
            kind: GroupKind::Parallel,
            width: width as usize,
            site: Some(site.clone()),
            parent: None,
            guessed,
            by_result: guessed,
        });
        let first = graph.tasks.len();
        for item in 0..width {
            let reads = match step.reads {
                Reads::Nothing => vec![],
                Reads::All => before.clone().collect(),
                Reads::Own => before.clone().skip(item as usize).take(1).collect(),
            };
            graph.tasks.push(Node {
                site: Some(site.clone()),
                waits: before.clone().collect(),
                reads,
                group: Some(place),
                ..node(step, item, inputs ^ place as u64)
            });
        }
        before = first..graph.tasks.len();
        if guessed {
            guess.tasks = before.clone().collect();
            graph.guesses.push(guess);
        }
    }
    graph
}

fn node(step: &Step, item: u32, inputs: u64) -> Node {
    let label = match step.names {
        Names::Found => format!("{} of {{{{t0}}}}", step.phase),
        Names::One | Names::Each => label(step, item, 0),
    };
    let mut task = Task::new("do it").label(label);
    task.phase = Some(step.phase.into());
    if step.shared > 0 {
        task.context = Some("what all of them share".into());
    }
    if step.above.is_some() {
        task.check = vec![Check::Judge(Judge {
            rubric: "it is right".into(),
            model: None,
            threshold: 7,
        })];
    }
    let models = [Some(step.model), step.above.map(|(model, _)| model)];
    Node {
        task,
        site: None,
        waits: vec![],
        reads: vec![],
        group: None,
        used: Use::Unknown,
        decides_from: None,
        assigned: Ok(Assigned {
            executor: "api".into(),
            is_program: false,
            writes: false,
            attempt_cost: AttemptCost::Free,
            kind: step.kind.into(),
            kind_declared: true,
            suffices: None,
            rungs: models.into_iter().flatten().map(rung).collect(),
            why: String::new(),
            checked: step.above.is_some(),
            prompt_tokens: match step.names {
                // The items are not known yet.
                Names::Found => step.prompt.middle as u64,
                Names::One | Names::Each => prompt(step, item, inputs),
            },
            shared_tokens: step.shared,
            has_tools: step.has_tools,
            rights: Default::default(),
            reply_tokens_max: 16_384,
            turns_max: TURNS_MAX,
            hedge: false,
            retries_max: 2,
            timeout: Millis::from_secs(3_600),
        }),
    }
}

fn tier_of(flow: &Flow, tier: Tier) -> Option<Rung> {
    let provider = flow.steps.first()?.model.provider;
    [HAIKU, SONNET, OPUS, MINI, GPT]
        .iter()
        .filter(|model| model.provider == provider)
        .map(rung)
        .find(|rung| rung.tier == Some(tier))
}

fn rung(model: &Model) -> Rung {
    let tier = match model.id {
        "claude-haiku" | "gpt-mini" => Tier::Haiku,
        "claude-opus" => Tier::Opus,
        _ => Tier::Sonnet,
    };
    Rung {
        provider: model.provider.into(),
        model: model.id.into(),
        tier: Some(tier),
        price: Some(model.price()),
    }
}
