//! The events of a run, from any position of its journal, for as long as it runs.
//!
//! Past events come from the store. New ones come over a bus if this process drives the run, and
//! otherwise from the store, which is polled. The bus is bounded and never blocks: a subscriber
//! slower than the run misses batches there, and reads them from the store.

use super::Engine;
use crate::driver::DriveError;
use crate::store::Batch;
use divisi_core::{Position, Recorded, RunId};
use futures::Stream;
use futures::stream::try_unfold;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

/// Polling interval for a run that another process drives: the rate of screen updates. One poll
/// costs an index lookup.
const TAIL_LOOK_EVERY: Duration = Duration::from_millis(100);

/// The events of a run, as they become durable. Their texts are read with [`Engine::read`].
///
/// It ends when nothing drives the run and all of its journal has been given: when the run has
/// ended, parked, or was interrupted.
pub struct Subscription {
    engine: Engine,
    run: RunId,
    /// Position of the next event to give.
    position: Position,
    source: Source,
}

/// Consecutive events of a run.
#[derive(Debug)]
pub struct Events(Kept);

#[derive(Debug)]
enum Kept {
    Read(Vec<Recorded>),
    /// A batch shared with other subscribers, without this number of events at its start.
    Batch(Arc<Batch>, usize),
}

impl Deref for Events {
    type Target = [Recorded];

    fn deref(&self) -> &[Recorded] {
        match &self.0 {
            Kept::Read(events) => events,
            Kept::Batch(batch, known) => &batch.events[*known..],
        }
    }
}

enum Source {
    /// The store has more, or may have. The bus, if any, keeps batches meanwhile.
    Store(Option<Receiver<Arc<Batch>>>),
    /// All events of the store have been given; the bus has the next ones.
    Bus(Receiver<Arc<Batch>>),
    Ended,
}

impl Subscription {
    pub(super) fn new(engine: Engine, run: RunId, from: Position) -> Self {
        // Subscribe before reading the store, so that no batch is missed in between.
        let bus = engine.live.batches(&run);
        Self {
            engine,
            run,
            position: from,
            source: Source::Store(bus),
        }
    }

    /// The name of the run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Position of the next event to give.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next events, at least one; `None` at the end.
    ///
    /// Dropping the future loses nothing: the next call gives the same events. To select over it
    /// often, use [`Subscription::into_stream`].
    pub async fn next(&mut self) -> Result<Option<Events>, DriveError> {
        loop {
            match &mut self.source {
                Source::Ended => return Ok(None),
                Source::Bus(bus) => match bus.recv().await {
                    Ok(batch) if batch.position > self.position => self.source = self.behind(),
                    Ok(batch) => {
                        let known = (self.position.0 - batch.position.0) as usize;
                        if known < batch.events.len() {
                            return Ok(Some(self.given(Events(Kept::Batch(batch, known)))));
                        }
                    }
                    Err(RecvError::Lagged(_)) => self.source = self.behind(),
                    Err(RecvError::Closed) => self.source = Source::Store(None),
                },
                Source::Store(_) => {
                    if let Some(events) = self.read().await? {
                        return Ok(Some(events));
                    }
                }
            }
        }
    }

    /// Reads the store; once it has nothing more, decides where further events come from.
    async fn read(&mut self) -> Result<Option<Events>, DriveError> {
        let events = self.engine.store.events(&self.run, self.position).await?;
        if !events.is_empty() {
            return Ok(Some(self.given(Events(Kept::Read(events)))));
        }
        if let Source::Store(Some(_)) = self.source {
            // Later batches are on the bus.
            if let Source::Store(Some(bus)) = std::mem::replace(&mut self.source, Source::Ended) {
                self.source = Source::Bus(bus);
            }
            return Ok(None);
        }
        if let Some(bus) = self.engine.live.batches(&self.run) {
            self.source = Source::Store(Some(bus));
            return Ok(None);
        }
        let is_driven = self.engine.is_driven(&self.run).await?;
        if is_driven {
            sleep(TAIL_LOOK_EVERY).await;
            return Ok(None);
        }
        // The driver may have written once more before it ended.
        let events = self.engine.store.events(&self.run, self.position).await?;
        if !events.is_empty() {
            return Ok(Some(self.given(Events(Kept::Read(events)))));
        }
        if self.position == Position::default() {
            return Err(DriveError::Unknown(self.run.clone()));
        }
        self.source = Source::Ended;
        Ok(None)
    }

    /// The source after batches were missed on the bus.
    fn behind(&self) -> Source {
        Source::Store(self.engine.live.batches(&self.run))
    }

    fn given(&mut self, events: Events) -> Events {
        self.position = self.position.after(events.len());
        events
    }

    /// The same as a stream; polling it again continues where it stopped.
    pub fn into_stream(self) -> impl Stream<Item = Result<Events, DriveError>> + Send {
        try_unfold(self, |mut subscription| async move {
            Ok(subscription
                .next()
                .await?
                .map(|events| (events, subscription)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::live::{Bus, Listed, LiveRun};
    use crate::store::{Lease, MemoryStore, RunSummary};
    use divisi_core::{Event, Run, Timestamp};
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::sync::{broadcast, mpsc};

    /// A run whose events the test writes, listed like any driven run.
    struct Driven {
        engine: Engine,
        run: RunId,
        position: Position,
        bus: Bus,
        listed: Option<Listed>,
        lease: Option<Box<dyn Lease>>,
    }

    impl Driven {
        async fn begin(engine: &Engine) -> Self {
            let run = RunId::new("a").unwrap();
            let lease = Some(engine.store.leases().take(&run).await.unwrap());
            let (inbox, signals) = (mpsc::unbounded_channel().0, broadcast::channel(1).0);
            let (listed, bus) = engine.live.list(LiveRun::new(run.clone(), inbox, signals));
            let position = Position::default();
            Self {
                engine: engine.clone(),
                run,
                position,
                bus,
                listed: Some(listed),
                lease,
            }
        }

        /// Writes a batch with this number of events.
        async fn write(&mut self, count: usize) {
            let said = |i: usize| Event::Logged {
                message: format!("{}", self.position.0 + i as u64).into(),
            };
            let recorded = |i| Recorded {
                position: self.position.after(i),
                at: Timestamp(0),
                event: said(i),
            };
            let batch = Arc::new(Batch {
                run: self.run.clone(),
                position: self.position,
                events: (0..count).map(recorded).collect(),
                blobs: vec![],
                summary: RunSummary::of(&self.run, &Run::new(), Timestamp(0)),
                receipts: vec![],
            });
            self.engine.store.append(batch.clone()).await.unwrap();
            self.position = self.position.after(count);
            // Fails only without subscribers.
            let _ = self.bus.send(batch);
        }

        fn end(mut self) {
            drop((self.listed.take(), self.lease.take()));
        }
    }

    fn engine() -> Engine {
        Engine::new(Arc::new(MemoryStore::new()))
    }

    /// All remaining positions of a subscription.
    async fn rest(mut subscription: Subscription) -> Vec<u64> {
        let mut positions = vec![];
        while let Some(events) = subscription.next().await.unwrap() {
            positions.extend(events.iter().map(|recorded| recorded.position.0));
        }
        positions
    }

    fn all(from: u64, to: u64) -> Vec<u64> {
        (from..to).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_subscriber_gets_the_same() {
        let engine = engine();
        let mut run = Driven::begin(&engine).await;
        let early = tokio::spawn(rest(engine.subscribe(&run.run, Position(0))));
        for count in [1, 3, 2] {
            run.write(count).await;
        }
        let mut late = engine.subscribe(&run.run, Position(0));
        assert_eq!(
            late.next().await.unwrap().map(|events| events.len()),
            Some(6)
        );
        let middle = engine.subscribe(&run.run, Position(4));
        run.write(5).await;
        let id = run.run.clone();
        run.end();
        assert_eq!(early.await.unwrap(), all(0, 11));
        assert_eq!(rest(late).await, all(6, 11));
        assert_eq!(rest(middle).await, all(4, 11));
        assert_eq!(
            rest(engine.subscribe(&id, Position(9))).await,
            all(9, 11),
            "and after its end"
        );
        assert!(rest(engine.subscribe(&id, Position(99))).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_subscriber_stops_nothing_and_misses_nothing() {
        let engine = engine();
        let mut run = Driven::begin(&engine).await;
        run.write(1).await;
        let mut slow = engine.subscribe(&run.run, Position(0));
        assert_eq!(
            slow.next().await.unwrap().map(|events| events.len()),
            Some(1)
        );
        // It now waits on the bus, and is not polled for longer than the bus keeps batches.
        assert!(futures::FutureExt::now_or_never(slow.next()).is_none());
        for _ in 0..1_000 {
            run.write(2).await;
        }
        let reading = tokio::spawn(rest(slow));
        tokio::task::yield_now().await;
        for _ in 0..1_000 {
            run.write(1).await;
        }
        run.end();
        assert_eq!(reading.await.unwrap(), all(1, 3_001));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_of_another_process_is_followed_through_the_store() {
        let (engine, other) = (engine(), AtomicBool::new(false));
        let mut run = Driven::begin(&engine).await;
        let elsewhere = Engine::new(engine.store.clone());
        assert!(elsewhere.live().is_empty() && engine.live_run(&run.run).is_some());
        run.write(2).await;
        let subscription = elsewhere.subscribe(&run.run, Position(0));
        let writing = async {
            for _ in 0..5 {
                sleep(TAIL_LOOK_EVERY * 3).await;
                run.write(3).await;
            }
            other.store(true, Ordering::Relaxed);
            run.end();
        };
        let (read, ()) = tokio::join!(rest(subscription), writing);
        assert_eq!((read, other.into_inner()), (all(0, 17), true));
        assert!(engine.live().is_empty());
    }

    #[tokio::test]
    async fn a_run_that_there_is_not_cannot_be_followed() {
        let run = RunId::new("b").unwrap();
        let ended = engine().subscribe(&run, Position(0)).next().await;
        assert!(matches!(ended, Err(DriveError::Unknown(unknown)) if unknown == run));
    }

    #[tokio::test]
    async fn the_place_of_a_run_is_its_latest_drivers() {
        let engine = engine();
        let mut first = Driven::begin(&engine).await;
        drop(first.lease.take());
        let second = Driven::begin(&engine).await;
        drop(first.listed.take());
        assert!(engine.live_run(&second.run).is_some());
    }
}
