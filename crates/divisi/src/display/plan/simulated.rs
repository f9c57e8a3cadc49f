//! The outcome of many simulated runs of a plan.

use super::money::named;
use crate::display::look::{Line, Look, Tone};
use crate::display::number::{self, count, counted};
use divisi_app::what_if::Simulation;
use divisi_core::{Millis, PicoUsd};
use divisi_sim::what_if::{Gain, Holds, Limit, Percentiles, Uncapped};
use schemars::JsonSchema;
use serde::Serialize;

/// The outcome of many simulated runs, the limit that holds them back, and what raising it would
/// bring.
pub(crate) fn lines(simulation: &Simulation, look: &Look) -> Vec<Line> {
    let answer = &simulation.answer;
    let mut lines = vec![Line::new(), head(simulation, look)];
    lines.push(named("run time", range(answer.took, number::took, look)));
    if answer.cost.p90 > PicoUsd::ZERO {
        lines.push(named(
            "run cost",
            range(answer.cost, |cost| cost.to_string(), look),
        ));
    }
    lines.extend(cap(simulation).map(|line| named("cap", line)));
    lines.push(named("held up by", holds(simulation)));
    let others = answer
        .gains
        .iter()
        .filter(|gain| answer.holds != Holds::One(gain.limit));
    let said: Vec<String> = others.map(|gain| other(gain, simulation)).collect();
    if !said.is_empty() {
        let without = if answer.uncapped.is_some() {
            " (without the cap)"
        } else {
            ""
        };
        lines.push(named(
            "doubled",
            Line::new().plain(said.join(", ")).plain(without),
        ));
    }
    let unlimited = format!(
        "{} if nothing but tasks had to be waited for",
        number::took(answer.unlimited)
    );
    lines.push(named("no limits", Line::new().plain(unlimited)));
    lines
}

/// The outcome of many simulated runs. Limits name their provider.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SimulationForm<'a> {
    /// Number of runs.
    repetitions: usize,
    /// Time until the last task ended, or the cap was exhausted.
    took: Percentiles<Millis>,
    /// What they cost.
    cost: Percentiles<PicoUsd>,
    /// Runs that the cap stopped.
    parked: usize,
    /// Number of tasks that those had done.
    done: Option<Percentiles<u64>>,
    /// The same runs without the cap, if there is one.
    uncapped: Option<Uncapped>,
    /// What mostly holds the run back.
    holds: HoldsForm<'a>,
    /// Median time without any limit except the dependencies.
    unlimited: Millis,
    /// The gain of each limit, largest first.
    gains: Vec<GainForm<'a>>,
    /// The limits of the simulated runs.
    under: UnderForm<'a>,
}

/// What mostly holds a run back.
#[derive(Serialize, JsonSchema)]
struct HoldsForm<'a> {
    /// The cap, one limit, several together, or the longest chain of tasks.
    by: By,
    #[serde(flatten)]
    limit: Option<LimitForm<'a>>,
}

/// What mostly holds a run back, in a word.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum By {
    /// The cap.
    Cap,
    /// One limit.
    One,
    /// Several limits: to raise one alone brings nothing.
    Several,
    /// The longest chain of dependent tasks.
    CriticalPath,
}

/// A limit.
#[derive(Serialize, JsonSchema)]
struct LimitForm<'a> {
    /// `requestsPerMinute`, `inputTokensPerMinute`, `outputTokensPerMinute`, `tasksAtOnce` or
    /// `programsAtOnce`.
    limit: &'static str,
    /// The provider that it is a limit of.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
}

/// The effect of doubling one limit.
#[derive(Serialize, JsonSchema)]
struct GainForm<'a> {
    #[serde(flatten)]
    limit: LimitForm<'a>,
    /// Time with the limit as it is.
    from: Millis,
    /// Time with twice the limit.
    to: Millis,
}

/// The limits of simulated runs.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct UnderForm<'a> {
    /// Tasks at once.
    tasks_at_once: u32,
    /// How many of these may be programs.
    programs_at_once: u32,
    /// The cap of the run.
    cap: Option<PicoUsd>,
    /// The rates of each provider.
    rates: Vec<RateForm<'a>>,
}

/// The rates of a provider; `null` where none is set.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RateForm<'a> {
    /// Its name.
    provider: &'a str,
    /// Requests per minute.
    requests_per_minute: Option<u64>,
    /// Input tokens per minute.
    input_tokens_per_minute: Option<u64>,
    /// Output tokens per minute.
    output_tokens_per_minute: Option<u64>,
}

impl<'a> SimulationForm<'a> {
    /// The form of a simulation.
    pub(crate) fn new(simulation: &'a Simulation) -> Self {
        let Simulation {
            answer,
            limits,
            providers,
            ..
        } = simulation;
        let gain = |gain: &Gain| GainForm {
            limit: LimitForm::new(gain.limit, providers),
            from: gain.from,
            to: gain.to,
        };
        let (by, limit) = match answer.holds {
            Holds::Cap => (By::Cap, None),
            Holds::One(limit) => (By::One, Some(LimitForm::new(limit, providers))),
            Holds::Several => (By::Several, None),
            Holds::CriticalPath => (By::CriticalPath, None),
        };
        let rates = providers.iter().zip(&limits.rates);
        Self {
            repetitions: answer.repetitions,
            took: answer.took,
            cost: answer.cost,
            parked: answer.parked,
            done: answer.done,
            uncapped: answer.uncapped,
            holds: HoldsForm { by, limit },
            unlimited: answer.unlimited,
            gains: answer.gains.iter().map(gain).collect(),
            under: UnderForm {
                tasks_at_once: limits.in_flight_max,
                programs_at_once: limits.programs_max,
                cap: limits.cap,
                rates: rates
                    .map(|(name, rate)| RateForm {
                        provider: name,
                        requests_per_minute: rate.requests_per_minute,
                        input_tokens_per_minute: rate.input_tokens_per_minute,
                        output_tokens_per_minute: rate.output_tokens_per_minute,
                    })
                    .collect(),
            },
        }
    }
}

impl<'a> LimitForm<'a> {
    fn new(limit: Limit, providers: &'a [String]) -> Self {
        let (limit, provider) = match limit {
            Limit::RequestsPerMinute { provider } => ("requestsPerMinute", Some(provider)),
            Limit::InputTokensPerMinute { provider } => ("inputTokensPerMinute", Some(provider)),
            Limit::OutputTokensPerMinute { provider } => ("outputTokensPerMinute", Some(provider)),
            Limit::TasksAtOnce => ("tasksAtOnce", None),
            Limit::ProgramsAtOnce => ("programsAtOnce", None),
        };
        let provider = provider.and_then(|place| providers.get(place));
        Self {
            limit,
            provider: provider.map(String::as_str),
        }
    }
}

/// The number of runs, and their limits.
fn head(simulation: &Simulation, look: &Look) -> Line {
    let Simulation {
        answer,
        limits,
        providers,
        ..
    } = simulation;
    let mut at_once = format!("{} tasks at once", count(limits.in_flight_max.into()));
    if simulation.has_programs && limits.holds_programs() {
        let programs = count(limits.programs_max.into());
        at_once += &format!(", at most {programs} of them programs");
    }
    let mut said = vec![at_once];
    for (name, rate) in providers.iter().zip(&limits.rates) {
        let set = [
            (rate.requests_per_minute, "requests"),
            (rate.input_tokens_per_minute, "input tokens"),
            (rate.output_tokens_per_minute, "output tokens"),
        ];
        let set: Vec<String> = set
            .iter()
            .filter_map(|(most, what)| most.map(|most| format!("{} {what}", count(most))))
            .collect();
        said.push(match set.is_empty() {
            true => format!("no rates set for {name}"),
            false => format!("{} a minute to {name}", set.join(", ")),
        });
    }
    let runs = counted(answer.repetitions as u64, "run", "runs");
    named(
        "simulated",
        Line::of(Tone::Strong, runs)
            .plain(look.dot())
            .plain(said.join(look.dot())),
    )
}

fn range<T: Copy + PartialEq>(of: Percentiles<T>, say: impl Fn(T) -> String, look: &Look) -> Line {
    let line = Line::of(Tone::Strong, format!("about {}", say(of.p50)));
    if of.p10 == of.p90 {
        return line;
    }
    line.plain(look.dot()).plain(format!(
        "{} to {} in eight runs of ten",
        say(of.p10),
        say(of.p90)
    ))
}

/// The effect of a cap; `None` if it has none.
fn cap(simulation: &Simulation) -> Option<Line> {
    let answer = &simulation.answer;
    let (cap, free) = (simulation.limits.cap?, answer.uncapped?);
    if let Some(done) = answer.done {
        let said = format!(
            " stops {} of {} runs, with about {} of {} done; all of it costs about {}, {} in one of ten",
            answer.parked,
            answer.repetitions,
            count(done.p50),
            counted(simulation.tasks as u64, "task", "tasks"),
            free.cost.p50,
            free.cost.p90,
        );
        return Some(Line::of(Tone::Warn, cap.to_string()).plain(said));
    }
    let said = " stops no run, but few requests may be under way at once under it";
    (answer.holds == Holds::Cap).then(|| Line::of(Tone::Strong, cap.to_string()).plain(said))
}

fn holds(simulation: &Simulation) -> Line {
    let answer = &simulation.answer;
    match answer.holds {
        Holds::Cap => {
            let without = answer
                .uncapped
                .map_or(answer.took.p50, |free| free.took.p50);
            let said = format!(": without it {} for all tasks", number::took(without));
            Line::of(Tone::Strong, "the cap").plain(said)
        }
        Holds::Several => Line::of(Tone::Strong, "several limits together")
            .plain(": to double one alone brings little"),
        Holds::CriticalPath => {
            Line::of(Tone::Strong, "the longest chain of tasks").plain(": no limit makes it longer")
        }
        Holds::One(limit) => {
            let gain = answer.gains.iter().find(|gain| gain.limit == limit);
            let said = gain.map(|gain| {
                format!(
                    ": with twice as many {} instead of {}",
                    number::took(gain.to),
                    number::took(gain.from)
                )
            });
            Line::of(Tone::Strong, name(limit, simulation)).plain(said.unwrap_or_default())
        }
    }
}

/// The effect of doubling a limit other than the first to be raised.
fn other(gain: &Gain, simulation: &Simulation) -> String {
    let (name, to) = (name(gain.limit, simulation), number::took(gain.to));
    match gain.is_any() {
        true => format!("{name} {to} instead of {}", number::took(gain.from)),
        false => format!("{name} no gain"),
    }
}

fn name(limit: Limit, simulation: &Simulation) -> String {
    let of = |provider: usize| simulation.providers.get(provider).map_or("", |name| name);
    match limit {
        Limit::RequestsPerMinute { provider } => format!("requests a minute to {}", of(provider)),
        Limit::InputTokensPerMinute { provider } => {
            format!("input tokens a minute to {}", of(provider))
        }
        Limit::OutputTokensPerMinute { provider } => {
            format!("output tokens a minute from {}", of(provider))
        }
        Limit::TasksAtOnce => "tasks at once".into(),
        Limit::ProgramsAtOnce => "programs at once (limits.programs_max)".into(),
    }
}
