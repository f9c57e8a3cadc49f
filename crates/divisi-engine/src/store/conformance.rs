//! What every store must do.

use super::{Batch, PAGE_EVENTS_MAX, RunSummary, Store, StoreError};
use divisi_core::content::Blob;
use divisi_core::{Digest, Event, Position, Recorded, Run, RunId, Timestamp};
use std::sync::Arc;

/// The shared tests, for a store made in an empty folder.
macro_rules! suite {
    ($open:expr) => {
        mod conformance {
            #[allow(unused_imports)]
            use super::*;
            use crate::store::conformance as shared;

            $crate::store::conformance::suite!(@each $open;
                what_is_appended_is_read_back,
                a_batch_out_of_place_is_refused_whole,
                long_journals_are_read_in_pages,
                texts_are_kept_by_digest,
                runs_are_listed_newest_first,
                many_writers_share_commits,
            );
        }
    };
    (@each $open:expr; $($name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                shared::$name(&$open(folder.path())).await;
            }
        )*
    };
}
pub(super) use suite;

pub(super) fn batch(run: &str, position: u64, lines: usize) -> Batch {
    let id = RunId::new(run).unwrap();
    let event = |i: usize| Recorded {
        position: Position(position).after(i),
        at: Timestamp(7),
        event: Event::Logged { message: format!("line {}", position as usize + i).into() },
    };
    let summary = RunSummary::of(&id, &Run::new(), Timestamp(position));
    Batch {
        run: id,
        position: Position(position),
        events: (0..lines).map(event).collect(),
        blobs: vec![],
        summary,
    }
}

async fn append(store: &dyn Store, batch: Batch) -> Result<(), StoreError> {
    store.append(Arc::new(batch)).await
}

pub(super) async fn what_is_appended_is_read_back(store: &dyn Store) {
    append(store, batch("a", 0, 2)).await.unwrap();
    append(store, batch("a", 2, 1)).await.unwrap();
    append(store, batch("b", 0, 1)).await.unwrap();
    let a = RunId::new("a").unwrap();
    let read = store.events(&a, Position(0)).await.unwrap();
    assert_eq!(read, [batch("a", 0, 2).events, batch("a", 2, 1).events].concat());
    assert_eq!(store.events(&a, Position(1)).await.unwrap(), read[1..]);
    assert_eq!(store.events(&a, Position(3)).await.unwrap(), []);
    assert_eq!(store.events(&RunId::new("nobody").unwrap(), Position(0)).await.unwrap(), []);
}

pub(super) async fn a_batch_out_of_place_is_refused_whole(store: &dyn Store) {
    append(store, batch("a", 0, 2)).await.unwrap();
    for wrong in [0, 1, 3] {
        let mut late = batch("a", wrong, 1);
        late.blobs.push(Blob { digest: Digest::of(b"late"), text: "late".into() });
        assert!(matches!(append(store, late).await, Err(StoreError::Moved(_))));
    }
    let a = RunId::new("a").unwrap();
    assert_eq!(store.events(&a, Position(0)).await.unwrap().len(), 2);
    assert_eq!(store.blob(Digest::of(b"late")).await.unwrap(), None);
    append(store, batch("a", 2, 1)).await.unwrap();
}

pub(super) async fn long_journals_are_read_in_pages(store: &dyn Store) {
    append(store, batch("a", 0, PAGE_EVENTS_MAX + 3)).await.unwrap();
    let a = RunId::new("a").unwrap();
    assert_eq!(store.events(&a, Position(0)).await.unwrap().len(), PAGE_EVENTS_MAX);
    assert_eq!(store.events(&a, Position(PAGE_EVENTS_MAX as u64)).await.unwrap().len(), 3);
}

pub(super) async fn texts_are_kept_by_digest(store: &dyn Store) {
    let text: Arc<str> = "long text ".repeat(1_000).into();
    let digest = Digest::of(text.as_bytes());
    for position in [0, 1] {
        let mut with = batch("a", position, 1);
        with.blobs.push(Blob { digest, text: text.clone() });
        append(store, with).await.unwrap();
    }
    assert_eq!(store.blob(digest).await.unwrap(), Some(text));
    assert_eq!(store.blob(Digest::of(b"unknown")).await.unwrap(), None);
}

pub(super) async fn runs_are_listed_newest_first(store: &dyn Store) {
    for (run, started_at) in [("a", 1), ("c", 3), ("b", 2)] {
        let mut first = batch(run, 0, 1);
        first.summary.started_at = Timestamp(started_at);
        append(store, first).await.unwrap();
    }
    let listed = |runs: Vec<RunSummary>| runs.iter().map(|run| run.id.to_string()).collect::<String>();
    assert_eq!(listed(store.runs(9).await.unwrap()), "cba");
    assert_eq!(listed(store.runs(2).await.unwrap()), "cb");
    let mut second = batch("a", 1, 1);
    second.summary.ok = 5;
    second.summary.folder = Some("/work".to_owned());
    second.summary.started_at = Timestamp(1);
    append(store, second.clone()).await.unwrap();
    assert_eq!(store.run(&second.run).await.unwrap(), Some(second.summary));
}

pub(super) async fn many_writers_share_commits(store: &dyn Store) {
    let run = |name: String| async move {
        for position in 0..20 {
            append(store, batch(&name, position, 1)).await.unwrap();
        }
        store.events(&RunId::new(&*name).unwrap(), Position(0)).await.unwrap().len()
    };
    let lengths = futures::future::join_all((0..20).map(|i| run(format!("run{i}")))).await;
    assert_eq!(lengths, [20; 20]);
}
