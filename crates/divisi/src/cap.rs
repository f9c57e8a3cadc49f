//! Another cap for a run that is under way, in whichever process drives it.

use divisi_app::Problem;
use divisi_core::{PicoUsd, RunId, RunView};
use divisi_engine::store::ControlMessage;
use divisi_engine::{Engine, SendError};

/// Sets the cap of a run from now on. Tasks under way are finished, also where they take more than
/// what is left of it.
///
/// Fails if more is spent already, according to `view`, or if no process drives the run.
pub(crate) async fn set(
    engine: &Engine,
    id: &RunId,
    view: &RunView,
    cap: PicoUsd,
) -> Result<(), Problem> {
    let spent = view.money.spent().total();
    if cap < spent {
        return Err(Problem::usage(format!(
            "the cap cannot be {cap}: {spent} are spent already"
        ))
        .hint(format!("`divisi park {id}` ends it with what is under way")));
    }
    let message = ControlMessage::Cap { cap };
    let receipt = engine.send(id, message).await.map_err(unsent)?;
    match receipt {
        Some(_) => Ok(()),
        None => Err(
            Problem::usage(format!("no process drives run {id}")).hint(format!(
                "`divisi resume {id} --max-cost {}` goes on with it",
                cap.typed()
            )),
        ),
    }
}

/// A message that was not taken.
pub(crate) fn unsent(error: SendError) -> Problem {
    match error {
        SendError::Store(error) => error.into(),
        SendError::Lease(error) => error.into(),
        error => Problem::failed(error),
    }
}
