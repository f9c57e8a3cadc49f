//! The question before a run that may be dear.

use crate::context::Context;
use crate::display::plan::money;
use crate::display::{Line, Look, Tone, look, number};
use crate::output;
use crate::stop::Question;
use anyhow::Context as _;
use divisi_app::Problem;
use divisi_app::launch::Ready;
use divisi_app::preflight::Expected;
use divisi_core::PicoUsd;
use divisi_core::preflight::Forecast;

/// A run with more tasks than this is asked about, whatever it costs: so many agents are seldom
/// meant by a mistyped list or a loop.
const TASKS_MAX: usize = 1_000;

/// Said when a run is not started.
pub(crate) const NOT_STARTED: &str = "not started; nothing was sent";

/// Whether a new run may start. Asks if there is a terminal and the run is expected to cost more
/// than `confirm_above`, or has very many tasks. A script that ends early in its dry run, and that
/// therefore has no estimate, is not asked about: it would be at every start.
///
/// A run with a lower cap cannot cost that much, and is not even estimated here.
pub(crate) async fn confirm(ready: &mut Ready, context: &Context) -> Result<bool, Problem> {
    let settings = ready.settings();
    let (above, cap) = (
        settings.confirm_above.0,
        settings.cost_max.map(|most| most.0),
    );
    let is_bounded = cap.is_some_and(|cap| cap <= above);
    if is_bounded || context.global.quiet || context.global.json || !output::can_ask() {
        return Ok(true);
    }
    // A script that fails in its dry run fails in the run, too, and says more there.
    let Ok(Some(expected)) = ready.expect().await else {
        return Ok(true);
    };
    if !is_dear(&expected, above, cap) {
        return Ok(true);
    }
    let look = Look::of_stderr(false);
    output::say(look::page(&lines(&expected, cap, &look), &look).trim_end());
    let answers = [("yes", true), ("no", false)];
    let _question = Question::ask(NOT_STARTED);
    let answer = output::ask("start it?", &answers).context("cannot read the answer")?;
    Ok(answer.unwrap_or(true))
}

fn is_dear(expected: &Expected, above: PicoUsd, cap: Option<PicoUsd>) -> bool {
    let about = |forecast: &Forecast| forecast.cost.p50.min(cap.unwrap_or(PicoUsd::MAX));
    expected.tasks > TASKS_MAX
        || expected
            .forecast
            .as_ref()
            .is_some_and(|it| about(it) > above)
}

/// The lines of the plan that matter for the answer.
fn lines(expected: &Expected, cap: Option<PicoUsd>, look: &Look) -> Vec<Line> {
    let tasks = number::counted(expected.tasks as u64, "task", "tasks");
    let head = Line::of(Tone::Strong, expected.name.clone()).plain(look.dot());
    match &expected.forecast {
        None => vec![head.plain(format!("at least {tasks}; what they cost cannot be said"))],
        Some(forecast) => [vec![head.plain(tasks)], money::brief(forecast, cap, look)].concat(),
    }
}
