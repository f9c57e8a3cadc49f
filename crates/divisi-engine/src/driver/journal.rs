//! What is read back from a store.

use super::DriveError;
use crate::store::Store;
use divisi_core::content::Content;
use divisi_core::{Position, Run, RunId};
use std::sync::Arc;

/// Reads the journal of a run and replays it.
pub(crate) async fn replay(store: &dyn Store, id: &RunId) -> Result<(Run, Position), DriveError> {
    let mut run = Run::new();
    let mut position = Position::default();
    loop {
        let page = store.events(id, position).await?;
        if page.is_empty() {
            break;
        }
        for recorded in &page {
            run.apply(recorded.at, &recorded.event)?;
        }
        position = position.after(page.len());
    }
    match position {
        Position(0) => Err(DriveError::Unknown(id.clone())),
        _ => Ok((run, position)),
    }
}

/// Reads a text of the journal, wherever it is kept.
pub(crate) async fn read(store: &dyn Store, content: &Content) -> Result<Arc<str>, DriveError> {
    match content {
        Content::Inline(text) => Ok(text.clone()),
        Content::Stored { digest, .. } => {
            store.blob(*digest).await?.ok_or_else(|| DriveError::Missing(digest.to_string()))
        }
    }
}
