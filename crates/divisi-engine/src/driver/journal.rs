//! Reads journals and texts from a store.

use super::DriveError;
use crate::store::Store;
use divisi_core::content::Content;
use divisi_core::{Position, Recorded, Run, RunId};
use std::sync::Arc;

/// Reads the journal of a run and replays it; `also` sees each event.
pub(crate) async fn replay(
    store: &dyn Store,
    id: &RunId,
    mut also: impl FnMut(&Recorded),
) -> Result<(Run, Position), DriveError> {
    let mut run = Run::new();
    let mut illegal = None;
    let position = each_event(store, id, |recorded| {
        if illegal.is_none() {
            illegal = run.apply(recorded.at, &recorded.event).err();
            also(recorded);
        }
    })
    .await?;
    illegal.map_or(Ok((run, position)), |illegal| Err(illegal.into()))
}

/// Reads the journal of a run, event by event; returns the position of its end.
pub(crate) async fn each_event(
    store: &dyn Store,
    id: &RunId,
    mut take: impl FnMut(&Recorded),
) -> Result<Position, DriveError> {
    let mut position = Position::default();
    loop {
        let page = store.events(id, position).await?;
        if page.is_empty() {
            break;
        }
        page.iter().for_each(&mut take);
        position = position.after(page.len());
    }
    match position {
        Position(0) => Err(DriveError::Unknown(id.clone())),
        _ => Ok(position),
    }
}

/// Reads a text of the journal, inline or from the store.
pub(crate) async fn read(store: &dyn Store, content: &Content) -> Result<Arc<str>, DriveError> {
    match content {
        Content::Inline(text) => Ok(text.clone()),
        Content::Stored { digest, .. } => store
            .blob(*digest)
            .await?
            .ok_or_else(|| DriveError::Missing(digest.to_string())),
    }
}
