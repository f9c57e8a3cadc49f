//! Messages to a run from an engine that does not drive it, as from another process.
#![allow(clippy::unwrap_used, clippy::panic)]

use async_trait::async_trait;
use divisi_engine::core::event::{AnsweredBy, Event};
use divisi_engine::core::run::Stage;
use divisi_engine::core::{Digest, PicoUsd, Position, Recorded, RunId, TaskId};
use divisi_engine::store::{
    Batch, ControlMessage, Leases, MemoryStore, Receipt, Room, RunSummary, Sent, Store, StoreError,
};
use divisi_engine::{
    AnswerError, Engine, Finished, Flow, Heard, Models, RunHandle, RunOptions, Setup,
};
use divisi_providers::Scripted;
use std::sync::{Arc, Mutex};

const TASK: TaskId = TaskId(0);

fn setup() -> Setup {
    let models = Models::one(
        Arc::new(Scripted::demo()),
        &[("haiku", "demo-haiku"), ("sonnet", "demo-sonnet")],
        &["*"],
    );
    Setup::new(models, std::env::temp_dir())
}

fn flow() -> Flow {
    Flow::script(
        "ask",
        "export const meta = { name: 'ask', description: 'Asks' };\n\
         return approve('Go on?', { choices: ['a', 'b'] });\n",
    )
}

/// An engine that drives a run with a question, and one that only shares its store.
struct Two {
    driver: Engine,
    other: Engine,
}

impl Two {
    fn new() -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        Self {
            driver: Engine::new(store.clone()),
            other: Engine::new(store),
        }
    }

    async fn start(&self) -> RunHandle {
        let options = RunOptions::default().attended(true);
        let handle = self.driver.start(flow(), setup(), options).await.unwrap();
        self.asks(handle.id()).await;
        handle
    }

    /// Waits until the question is recorded.
    async fn asks(&self, id: &RunId) {
        use futures::StreamExt;
        let events = self.other.subscribe(id, Position(0)).into_stream();
        let mut events = std::pin::pin!(events);
        while let Some(events) = events.next().await {
            let asks = |event: &Event| matches!(event, Event::AttemptSuspended { .. });
            if events.unwrap().iter().any(|recorded| asks(&recorded.event)) {
                return;
            }
        }
        panic!("it never asks");
    }
}

fn result(finished: &Finished) -> &str {
    finished.result.as_ref().unwrap().as_ref().unwrap()
}

#[tokio::test]
async fn the_driver_of_a_run_does_what_another_process_sends() {
    let two = Two::new();
    let handle = two.start().await;
    let id = handle.id().clone();
    let cap = PicoUsd(7);
    for message in [
        ControlMessage::Cap { cap },
        ControlMessage::Width { in_flight_max: 3 },
    ] {
        let receipt = two.other.send(&id, message).await.unwrap();
        assert_eq!(receipt, Some(Receipt::Done));
    }
    let refused = two.other.answer(&id, TASK, "c").await.unwrap_err();
    assert!(matches!(refused, AnswerError::Misfit(_)), "{refused}");
    let heard = two.other.answer(&id, TASK, "a").await.unwrap();
    assert_eq!(heard, Heard::ByDriver);
    let finished = handle.finished().await.unwrap();
    assert_eq!(result(&finished), "\"a\"");
    assert_eq!(finished.run.budget().cap, Some(cap));
    assert_eq!(finished.run.limits().in_flight_max, 3);
    assert!(two.other.store().inbox(&id).await.unwrap().is_empty());
    let late = two.other.answer(&id, TASK, "b").await.unwrap_err();
    assert!(
        matches!(
            late,
            AnswerError::Answered {
                by: AnsweredBy::Person,
                ..
            }
        ),
        "{late}"
    );
    let undriven = two.other.send(&id, ControlMessage::Park).await.unwrap();
    assert_eq!(undriven, None, "no process drives it any more");
}

#[tokio::test]
async fn of_two_answers_at_once_the_first_one_recorded_counts() {
    for is_here in [false, true] {
        let two = Two::new();
        let handle = two.start().await;
        let id = handle.id().clone();
        // From this process the driver gets it without the store.
        let first = if is_here { &two.driver } else { &two.other };
        let (a, b) = tokio::join!(
            first.answer(&id, TASK, "a"),
            two.other.answer(&id, TASK, "b")
        );
        let answers = [a, b];
        let heard = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(heard, 1, "{answers:?}");
        let finished = handle.finished().await.unwrap();
        let counts = if answers[0].is_ok() { "\"a\"" } else { "\"b\"" };
        assert_eq!(result(&finished), counts);
    }
}

#[tokio::test]
async fn a_message_that_no_driver_took_is_taken_once_by_a_resume() {
    let two = Two::new();
    let handle = two.start().await;
    let id = handle.id().clone();
    // Dropped in the midst of its work, as by `kill -9`.
    handle.kill();
    while two.other.is_driven(&id).await.unwrap() {
        tokio::task::yield_now().await;
    }
    let store = two.other.store();
    let answer = |word: &str| ControlMessage::Answer {
        task: TASK,
        answer: word.into(),
    };
    let sent = [
        store.send(&id, answer("b")).await.unwrap(),
        store.send(&id, answer("a")).await.unwrap(),
        store.send(&id, ControlMessage::Park).await.unwrap(),
    ];
    let handle = two
        .other
        .resume(&id, flow(), setup(), RunOptions::default())
        .await
        .unwrap();
    let finished = handle.finished().await.unwrap();
    assert_eq!(result(&finished), "\"b\"");
    assert!(matches!(finished.run.stage(), Stage::Ended(_)));
    let by = AnsweredBy::Person;
    for (number, receipt) in
        sent.into_iter()
            .zip([Receipt::Done, Receipt::Answered { by }, Receipt::Ignored])
    {
        assert_eq!(store.withdraw(number).await.unwrap(), Some(receipt));
    }
}

#[tokio::test]
async fn what_is_put_off_lets_the_run_park() {
    let two = Two::new();
    let handle = two.start().await;
    handle.control().put_off(TASK);
    let finished = handle.finished().await.unwrap();
    assert!(matches!(finished.run.stage(), Stage::Parked(_)));
}

/// A store in which the driver of a run dies just when a message is sent to it, and that notes
/// whether another driver could begin when the message is withdrawn.
struct Deserted {
    store: Arc<dyn Store>,
    driver: Mutex<Option<RunHandle>>,
    run: RunId,
    could_begin: Mutex<Vec<bool>>,
}

#[async_trait]
impl Store for Deserted {
    async fn send(&self, run: &RunId, message: ControlMessage) -> Result<u64, StoreError> {
        let driver = self.driver.lock().unwrap().take();
        driver.unwrap().kill();
        self.store.send(run, message).await
    }

    async fn withdraw(&self, number: u64) -> Result<Option<Receipt>, StoreError> {
        let could_begin = self.store.leases().take(&self.run).await.is_ok();
        self.could_begin.lock().unwrap().push(could_begin);
        self.store.withdraw(number).await
    }

    async fn append(&self, batch: Arc<Batch>) -> Result<(), StoreError> {
        self.store.append(batch).await
    }

    async fn events(&self, run: &RunId, from: Position) -> Result<Vec<Recorded>, StoreError> {
        self.store.events(run, from).await
    }

    async fn blob(&self, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.store.blob(digest).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunSummary>, StoreError> {
        self.store.run(run).await
    }

    async fn runs(&self, most: usize) -> Result<Vec<RunSummary>, StoreError> {
        self.store.runs(most).await
    }

    async fn inbox(&self, run: &RunId) -> Result<Vec<Sent>, StoreError> {
        self.store.inbox(run).await
    }

    async fn receipt(&self, number: u64) -> Result<Option<Receipt>, StoreError> {
        self.store.receipt(number).await
    }

    async fn room(&self) -> Result<Room, StoreError> {
        self.store.room().await
    }

    async fn remove(&self, runs: &[RunId]) -> Result<(), StoreError> {
        self.store.remove(runs).await
    }

    fn leases(&self) -> &dyn Leases {
        self.store.leases()
    }
}

#[tokio::test]
async fn no_driver_begins_while_a_message_is_withdrawn_from_it() {
    let two = Two::new();
    let handle = two.start().await;
    let id = handle.id().clone();
    let deserted = Arc::new(Deserted {
        store: two.other.store().clone(),
        driver: Mutex::new(Some(handle)),
        run: id.clone(),
        could_begin: Mutex::default(),
    });
    let sender = Engine::new(deserted.clone());
    let receipt = sender.send(&id, ControlMessage::Park).await.unwrap();
    assert_eq!(receipt, None);
    assert_eq!(*deserted.could_begin.lock().unwrap(), [false]);
    assert!(!two.other.is_driven(&id).await.unwrap());
}
