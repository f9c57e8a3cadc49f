//! What every store must do, as tests for implementers.
//!
//! Behind the feature `conformance`, for `[dev-dependencies]`:
//!
//! ```
//! use divisi_engine::store::{MemoryStore, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::run(MemoryStore::new).await;
//! # }
//! ```

use super::{
    Batch, ControlMessage, INBOX_MAX, Lease, LeaseError, Leases, PAGE_EVENTS_MAX, Receipt,
    RunSummary, Sent, Store, StoreError,
};
use divisi_core::content::{Blob, Content};
use divisi_core::{Digest, Event, Position, Recorded, Run, RunId, TaskId, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Longest time until a dropped lease is free again.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(10);

/// Checks that stores made by `open` behave as the engine requires.
///
/// `open` makes an empty store at each call. The leases of the store are checked as by [`leases`].
///
/// # Panics
///
/// Panics with the requirement that is not met.
pub async fn run<S: Store>(mut open: impl FnMut() -> S) {
    what_is_appended_is_read_back(&open()).await;
    a_batch_out_of_place_is_refused_whole(&open()).await;
    of_many_appends_at_one_position_one_is_taken(&open()).await;
    long_journals_are_read_in_pages(&open()).await;
    texts_are_kept_by_digest(&open()).await;
    runs_are_listed_newest_first(&open()).await;
    what_is_removed_leaves_what_others_have(&open()).await;
    many_append_at_once(&open()).await;
    messages_wait_until_their_receipt_is_appended(&open()).await;
    of_a_batch_out_of_place_no_receipt_is_kept(&open()).await;
    an_inbox_has_a_limit(&open()).await;
    leases(open().leases()).await;
}

/// Checks that leases behave as the engine requires. No run named `a` or `b` may be leased at the
/// beginning; none is at the end.
///
/// # Panics
///
/// Panics with the requirement that is not met.
pub async fn leases(leases: &dyn Leases) {
    a_lease_is_for_one_holder_and_one_run(leases).await;
    of_many_that_take_a_lease_at_once_one_gets_it(leases).await;
    a_lease_that_is_renewed_lasts(leases).await;
}

/// A batch of `lines` events, each of which contains its position.
pub(super) fn batch(run: &str, position: u64, lines: usize) -> Batch {
    let id = id(run);
    let event = |i: usize| Recorded {
        position: Position(position).after(i),
        at: Timestamp(7),
        event: Event::Logged {
            message: format!("line {}", position as usize + i).into(),
        },
    };
    let summary = RunSummary::of(&id, &Run::new(), Timestamp(position));
    Batch {
        run: id,
        position: Position(position),
        events: (0..lines).map(event).collect(),
        blobs: vec![],
        summary,
        receipts: vec![],
    }
}

fn id(name: &str) -> RunId {
    RunId::new(name).expect("the name of a run")
}

async fn append(store: &dyn Store, batch: Batch) -> Result<(), StoreError> {
    store.append(Arc::new(batch)).await
}

/// Appends a batch that must be accepted.
async fn appended(store: &dyn Store, batch: Batch) {
    let position = batch.position.0;
    if let Err(error) = append(store, batch).await {
        panic!("a batch at the end of its journal, {position}, is refused: {error}");
    }
}

async fn events(store: &dyn Store, run: &str, from: u64) -> Vec<Recorded> {
    match store.events(&id(run), Position(from)).await {
        Ok(events) => events,
        Err(error) => panic!("the journal of run {run} cannot be read from {from} on: {error}"),
    }
}

async fn blob(store: &dyn Store, digest: Digest) -> Option<Arc<str>> {
    match store.blob(digest).await {
        Ok(text) => text,
        Err(error) => panic!("a text cannot be read: {error}"),
    }
}

async fn what_is_appended_is_read_back(store: &dyn Store) {
    appended(store, batch("a", 0, 2)).await;
    appended(store, batch("a", 2, 1)).await;
    appended(store, batch("b", 0, 1)).await;
    let all = [batch("a", 0, 2).events, batch("a", 2, 1).events].concat();
    for from in 0..=3 {
        let read = events(store, "a", from).await;
        assert_eq!(
            read,
            all[from as usize..],
            "events are read as appended, from {from} on"
        );
    }
    assert_eq!(
        events(store, "unknown", 0).await,
        [],
        "a run that is not there has no events"
    );
    let unknown = store.run(&id("unknown")).await;
    assert!(
        matches!(unknown, Ok(None)),
        "a run that is not there has no summary: {unknown:?}"
    );
}

async fn a_batch_out_of_place_is_refused_whole(store: &dyn Store) {
    appended(store, batch("a", 0, 2)).await;
    for wrong in [0, 1, 3] {
        let mut late = batch("a", wrong, 1);
        late.blobs.push(Blob {
            digest: Digest::of(b"late"),
            text: "late".into(),
        });
        let refused = append(store, late).await;
        assert!(
            matches!(refused, Err(StoreError::Moved(_))),
            "a batch at {wrong} of a journal that ends at 2 is refused as moved: {refused:?}"
        );
    }
    assert_eq!(
        events(store, "a", 0).await.len(),
        2,
        "of a batch that is refused no event is kept"
    );
    assert_eq!(
        blob(store, Digest::of(b"late")).await,
        None,
        "of a batch that is refused no text is kept"
    );
    appended(store, batch("a", 2, 1)).await;
}

async fn of_many_appends_at_one_position_one_is_taken(store: &dyn Store) {
    for position in 0..5 {
        let all =
            futures::future::join_all((0..8).map(|_| append(store, batch("a", position, 1)))).await;
        let taken = all.iter().filter(|result| result.is_ok()).count();
        let moved = all
            .iter()
            .filter(|result| matches!(result, Err(StoreError::Moved(_))))
            .count();
        assert_eq!(
            (taken, moved),
            (1, 7),
            "of eight batches at one position one is taken: {all:?}"
        );
    }
}

async fn long_journals_are_read_in_pages(store: &dyn Store) {
    appended(store, batch("a", 0, PAGE_EVENTS_MAX + 3)).await;
    let pages = [
        events(store, "a", 0).await.len(),
        events(store, "a", PAGE_EVENTS_MAX as u64).await.len(),
    ];
    assert_eq!(
        pages,
        [PAGE_EVENTS_MAX, 3],
        "at most PAGE_EVENTS_MAX events are read at once"
    );
}

async fn texts_are_kept_by_digest(store: &dyn Store) {
    let text: Arc<str> = "long text ".repeat(1_000).into();
    let digest = Digest::of(text.as_bytes());
    for position in [0, 1] {
        let mut with = batch("a", position, 1);
        with.blobs.push(Blob {
            digest,
            text: text.clone(),
        });
        appended(store, with).await;
    }
    assert_eq!(
        blob(store, digest).await,
        Some(text),
        "a text is found by its digest"
    );
    assert_eq!(
        blob(store, Digest::of(b"unknown")).await,
        None,
        "a text that is not there is none"
    );
}

async fn sent(store: &dyn Store, run: &str, message: ControlMessage) -> u64 {
    match store.send(&id(run), message).await {
        Ok(number) => number,
        Err(error) => panic!("a message cannot be sent: {error}"),
    }
}

async fn inbox(store: &dyn Store, run: &str) -> Vec<Sent> {
    match store.inbox(&id(run)).await {
        Ok(messages) => messages,
        Err(error) => panic!("an inbox cannot be read: {error}"),
    }
}

async fn receipt(store: &dyn Store, number: u64) -> Option<Receipt> {
    match store.receipt(number).await {
        Ok(receipt) => receipt,
        Err(error) => panic!("a receipt cannot be read: {error}"),
    }
}

async fn withdrawn(store: &dyn Store, number: u64) -> Option<Receipt> {
    match store.withdraw(number).await {
        Ok(receipt) => receipt,
        Err(error) => panic!("a message cannot be withdrawn: {error}"),
    }
}

fn answer(text: &str) -> ControlMessage {
    ControlMessage::Answer {
        task: TaskId(3),
        answer: text.into(),
    }
}

async fn messages_wait_until_their_receipt_is_appended(store: &dyn Store) {
    appended(store, batch("a", 0, 1)).await;
    let first = sent(store, "a", answer("yes")).await;
    let second = sent(store, "a", ControlMessage::Park).await;
    let other = sent(store, "b", ControlMessage::Park).await;
    let third = sent(store, "a", answer("no")).await;
    let waiting = |messages: &[Sent]| messages.iter().map(|sent| sent.number).collect::<Vec<_>>();
    let all = inbox(store, "a").await;
    assert_eq!(
        waiting(&all),
        [first, second, third],
        "messages come in the order in which they were sent"
    );
    assert_eq!(all[0].message, answer("yes"), "a message is read as sent");
    assert_eq!(receipt(store, first).await, None, "no receipt comes early");
    let receipts = vec![(first, Receipt::Done), (third, Receipt::NotWaiting)];
    let taken = Batch {
        receipts,
        ..batch("a", 1, 0)
    };
    appended(store, taken).await;
    assert_eq!(
        waiting(&inbox(store, "a").await),
        [second],
        "what has a receipt is taken, and nothing else"
    );
    assert_eq!(waiting(&inbox(store, "b").await), [other]);
    assert_eq!(
        [receipt(store, first).await, receipt(store, third).await],
        [Some(Receipt::Done), Some(Receipt::NotWaiting)],
        "receipts belong to their messages"
    );
    assert_eq!(withdrawn(store, first).await, Some(Receipt::Done));
    assert_eq!(withdrawn(store, second).await, None, "nobody has taken it");
    assert_eq!(inbox(store, "a").await, [], "what is withdrawn is gone");
    let late = Batch {
        receipts: vec![(second, Receipt::Done)],
        ..batch("a", 1, 1)
    };
    appended(store, late).await;
    assert_eq!(
        receipt(store, second).await,
        None,
        "a receipt does not bring back what was withdrawn"
    );
    let next = sent(store, "a", ControlMessage::Park).await;
    assert!(
        ![first, second, other, third].contains(&next),
        "a number is never used again"
    );
}

async fn of_a_batch_out_of_place_no_receipt_is_kept(store: &dyn Store) {
    appended(store, batch("a", 0, 1)).await;
    let number = sent(store, "a", ControlMessage::Park).await;
    let late = Batch {
        receipts: vec![(number, Receipt::Done)],
        ..batch("a", 0, 1)
    };
    let refused = append(store, late).await;
    assert!(matches!(refused, Err(StoreError::Moved(_))));
    assert_eq!(
        receipt(store, number).await,
        None,
        "a message whose effect was not recorded waits on"
    );
}

async fn an_inbox_has_a_limit(store: &dyn Store) {
    for _ in 0..INBOX_MAX {
        sent(store, "a", ControlMessage::Park).await;
    }
    let refused = store.send(&id("a"), ControlMessage::Park).await;
    assert!(
        matches!(refused, Err(StoreError::InboxFull(_))),
        "one message too many is refused: {refused:?}"
    );
    sent(store, "b", ControlMessage::Park).await;
}

async fn runs_are_listed_newest_first(store: &dyn Store) {
    for (run, started_at) in [("a", 1), ("c", 3), ("b", 2)] {
        let mut first = batch(run, 0, 1);
        first.summary.started_at = Timestamp(started_at);
        appended(store, first).await;
    }
    for (most, expected) in [(9, "cba"), (2, "cb")] {
        let listed = match store.runs(most).await {
            Ok(runs) => runs.iter().map(|run| run.id.as_str()).collect::<String>(),
            Err(error) => panic!("runs cannot be listed: {error}"),
        };
        assert_eq!(listed, expected, "the latest {most} runs, newest first");
    }
    let mut second = batch("a", 1, 1);
    second.summary.ok = 5;
    second.summary.folder = Some("/work".to_owned());
    second.summary.started_at = Timestamp(1);
    appended(store, second.clone()).await;
    let summary = store.run(&second.run).await.ok().flatten();
    assert_eq!(
        summary,
        Some(second.summary),
        "the summary of a run is that of its latest batch"
    );
}

async fn what_is_removed_leaves_what_others_have(store: &dyn Store) {
    let with = |run: &str, texts: &[&str]| {
        let mut batch = batch(run, 0, texts.len());
        for (recorded, text) in batch.events.iter_mut().zip(texts) {
            let (result, blob) = Content::of(text.repeat(600).into());
            batch.blobs.extend(blob);
            recorded.event = Event::FlowEnded { result: Ok(result) };
        }
        batch
    };
    appended(store, with("a", &["own of a", "both"])).await;
    appended(store, with("b", &["both", "own of b"])).await;
    let digest = |text: &str| Digest::of(text.repeat(600).as_bytes());
    let room = match store.room().await {
        Ok(room) => room,
        Err(error) => panic!("the room that runs take cannot be told: {error}"),
    };
    assert!(
        room.runs.get(&id("a")).is_some_and(|bytes| *bytes >= 4_800) && room.shared >= 2_400,
        "a run takes the room of its own texts, and shared ones are told apart: {room:?}"
    );
    if let Err(error) = store.remove(&[id("a"), id("unknown")]).await {
        panic!("a run cannot be removed: {error}");
    }
    assert_eq!(
        events(store, "a", 0).await,
        [],
        "a run that was removed has no events"
    );
    assert!(
        matches!(store.run(&id("a")).await, Ok(None)),
        "nor a summary"
    );
    assert_eq!(
        blob(store, digest("own of a")).await,
        None,
        "nor texts of its own"
    );
    for text in ["both", "own of b"] {
        assert!(
            blob(store, digest(text)).await.is_some(),
            "another run keeps its texts: {text}"
        );
    }
    assert_eq!(events(store, "b", 0).await.len(), 2, "and its events");
    appended(store, batch("a", 0, 1)).await;
}

async fn many_append_at_once(store: &dyn Store) {
    let run = |name: String| async move {
        for position in 0..20 {
            appended(store, batch(&name, position, 1)).await;
        }
        events(store, &name, 0).await.len()
    };
    let lengths = futures::future::join_all((0..20).map(|i| run(format!("run{i}")))).await;
    assert_eq!(lengths, [20; 20], "runs side by side do not mix");
}

async fn taken(leases: &dyn Leases, run: &str) -> Box<dyn Lease> {
    match leases.take(&id(run)).await {
        Ok(lease) => lease,
        Err(error) => panic!("a lease that is free is refused: {error}"),
    }
}

async fn holder(leases: &dyn Leases, run: &str) -> Option<String> {
    match leases.holder(&id(run)).await {
        Ok(holder) => holder,
        Err(error) => panic!("the holder of the lease of run {run} cannot be told: {error}"),
    }
}

async fn refused(leases: &dyn Leases, run: &str) -> String {
    match leases.take(&id(run)).await {
        Err(LeaseError::Held {
            run: refused,
            holder,
        }) => {
            assert_eq!(refused.as_str(), run, "a refusal names the run");
            holder
        }
        Err(error) => panic!("a lease that is held is refused as held, not: {error}"),
        Ok(_) => panic!("a lease that is held is refused"),
    }
}

async fn given_back(leases: &dyn Leases, run: &str) {
    let is_free = async {
        while holder(leases, run).await.is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(GIVEN_BACK_WITHIN, is_free).await;
    assert!(
        in_time.is_ok(),
        "a lease that was dropped is free within {GIVEN_BACK_WITHIN:?}"
    );
}

async fn a_lease_is_for_one_holder_and_one_run(leases: &dyn Leases) {
    assert_eq!(
        holder(leases, "a").await,
        None,
        "a lease that is free has no holder"
    );
    let lease = taken(leases, "a").await;
    let named = refused(leases, "a").await;
    assert!(!named.is_empty(), "a refusal names the holder");
    assert_eq!(
        holder(leases, "a").await,
        Some(named),
        "a refusal names the holder as `holder` does"
    );
    assert_eq!(
        holder(leases, "b").await,
        None,
        "the lease of one run is not that of another"
    );
    let other = taken(leases, "b").await;
    drop(lease);
    given_back(leases, "a").await;
    assert!(
        holder(leases, "b").await.is_some(),
        "with one lease no other is given back"
    );
    let again = taken(leases, "a").await;
    refused(leases, "a").await;
    drop((again, other));
    given_back(leases, "a").await;
    given_back(leases, "b").await;
}

async fn of_many_that_take_a_lease_at_once_one_gets_it(leases: &dyn Leases) {
    let run = id("a");
    let all = futures::future::join_all((0..8).map(|_| leases.take(&run))).await;
    assert_eq!(
        all.iter().filter(|taken| taken.is_ok()).count(),
        1,
        "of eight that take a lease at once one gets it"
    );
    drop(all);
    given_back(leases, "a").await;
}

async fn a_lease_that_is_renewed_lasts(leases: &dyn Leases) {
    let lease = taken(leases, "a").await;
    for _ in 0..3 {
        tokio::time::sleep(lease.renew_every().unwrap_or_default()).await;
        if let Err(error) = lease.renew().await {
            panic!("a lease that is renewed in time lasts: {error}");
        }
        refused(leases, "a").await;
    }
    drop(lease);
    given_back(leases, "a").await;
}
