//! Reads journals event by event.

use divisi_app::Problem;
use divisi_core::{Position, Recorded, RunId};
use divisi_engine::store::Store;

/// Passes each event of a run to `take`, in order.
pub(crate) async fn each_event(
    store: &dyn Store,
    id: &RunId,
    mut take: impl FnMut(Recorded),
) -> Result<(), Problem> {
    let mut position = Position::default();
    loop {
        let page = store.events(id, position).await?;
        if page.is_empty() {
            return Ok(());
        }
        position = position.after(page.len());
        page.into_iter().for_each(&mut take);
    }
}
