//! Leases that have to be renewed and can be lost, as those of several machines.
#![allow(clippy::unwrap_used, clippy::panic)]

use async_trait::async_trait;
use divisi_engine::core::{Digest, Position, Recorded, RunId};
use divisi_engine::store::{
    Batch, ControlMessage, Lease, LeaseError, Leases, MemoryStore, Receipt, Room, RunSummary, Sent,
    Store, StoreError, conformance,
};
use divisi_engine::{DriveError, Engine, Models, RunOptions, Setup, StartError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// How long a lease lasts that is not renewed.
const LASTS: Duration = Duration::from_secs(30);

/// The holder of each lease, and until when, as a server would have it.
type Table = Arc<Mutex<HashMap<RunId, (&'static str, Instant)>>>;

/// The leases of one machine of several.
struct Remote {
    table: Table,
    machine: &'static str,
}

struct RemoteLease {
    table: Table,
    machine: &'static str,
    run: RunId,
}

/// A store of one machine of several.
struct RemoteStore {
    journals: Arc<MemoryStore>,
    leases: Remote,
}

impl RemoteLease {
    fn is_ours(&self) -> bool {
        let table = self.table.lock().unwrap();
        table
            .get(&self.run)
            .is_some_and(|(machine, until)| *machine == self.machine && *until > Instant::now())
    }
}

#[async_trait]
impl Leases for Remote {
    async fn take(&self, run: &RunId) -> Result<Box<dyn Lease>, LeaseError> {
        if let Some(holder) = self.holder(run).await? {
            return Err(LeaseError::Held {
                run: run.clone(),
                holder,
            });
        }
        self.table
            .lock()
            .unwrap()
            .insert(run.clone(), (self.machine, Instant::now() + LASTS));
        Ok(Box::new(RemoteLease {
            table: self.table.clone(),
            machine: self.machine,
            run: run.clone(),
        }))
    }

    async fn holder(&self, run: &RunId) -> Result<Option<String>, LeaseError> {
        let table = self.table.lock().unwrap();
        let held = table.get(run).filter(|(_, until)| *until > Instant::now());
        Ok(held.map(|(machine, _)| (*machine).to_owned()))
    }
}

#[async_trait]
impl Lease for RemoteLease {
    fn renew_every(&self) -> Option<Duration> {
        Some(LASTS / 3)
    }

    async fn renew(&self) -> Result<(), LeaseError> {
        if !self.is_ours() {
            let holder = self.table.lock().unwrap()[&self.run].0.to_owned();
            return Err(LeaseError::Held {
                run: self.run.clone(),
                holder,
            });
        }
        self.table
            .lock()
            .unwrap()
            .insert(self.run.clone(), (self.machine, Instant::now() + LASTS));
        Ok(())
    }
}

impl Drop for RemoteLease {
    fn drop(&mut self) {
        if self.is_ours() {
            self.table.lock().unwrap().remove(&self.run);
        }
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn append(&self, batch: Arc<Batch>) -> Result<(), StoreError> {
        self.journals.append(batch).await
    }

    async fn events(&self, run: &RunId, from: Position) -> Result<Vec<Recorded>, StoreError> {
        self.journals.events(run, from).await
    }

    async fn blob(&self, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.journals.blob(digest).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunSummary>, StoreError> {
        self.journals.run(run).await
    }

    async fn runs(&self, most: usize) -> Result<Vec<RunSummary>, StoreError> {
        self.journals.runs(most).await
    }

    async fn send(&self, run: &RunId, message: ControlMessage) -> Result<u64, StoreError> {
        self.journals.send(run, message).await
    }

    async fn inbox(&self, run: &RunId) -> Result<Vec<Sent>, StoreError> {
        self.journals.inbox(run).await
    }

    async fn receipt(&self, number: u64) -> Result<Option<Receipt>, StoreError> {
        self.journals.receipt(number).await
    }

    async fn withdraw(&self, number: u64) -> Result<Option<Receipt>, StoreError> {
        self.journals.withdraw(number).await
    }

    async fn room(&self) -> Result<Room, StoreError> {
        self.journals.room().await
    }

    async fn remove(&self, runs: &[RunId]) -> Result<(), StoreError> {
        self.journals.remove(runs).await
    }

    fn leases(&self) -> &dyn Leases {
        &self.leases
    }
}

/// Two machines with one store, and the leases on its server.
fn machines() -> ([Engine; 2], Table) {
    let (journals, table) = (Arc::new(MemoryStore::new()), Table::default());
    let engines = ["one", "two"].map(|machine| {
        let leases = Remote {
            table: table.clone(),
            machine,
        };
        Engine::new(Arc::new(RemoteStore {
            journals: journals.clone(),
            leases,
        }))
    });
    (engines, table)
}

fn setup() -> Setup {
    let scripted = Arc::new(divisi_providers::Scripted::default());
    Setup::new(
        Models::one(scripted, &[("sonnet", "s")], &["s"]),
        std::env::temp_dir(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_another_machine_does_what_leases_must() {
    conformance::leases(&Remote {
        table: Table::default(),
        machine: "one",
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_run_is_driven_for_as_long_as_its_lease_is_renewed() {
    let ([one, two], table) = machines();
    let job = one
        .open("job", setup(), RunOptions::default())
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let id = job.handle().id().clone();
    tokio::time::sleep(10 * LASTS).await;
    assert!(two.is_driven(&id).await.unwrap());
    let refused = two
        .reopen_job(&id, setup(), RunOptions::default())
        .await
        .err()
        .unwrap();
    assert!(matches!(
        refused,
        StartError::Lease(LeaseError::Held { .. })
    ));
    assert_eq!(
        refused.to_string(),
        format!("run {id} is being driven by one")
    );

    // It expires, as if the first machine had been suspended.
    table
        .lock()
        .unwrap()
        .insert(id.clone(), ("one", Instant::now()));
    let taken_over = two.reopen_job(&id, setup(), RunOptions::default()).await;
    let lost = job.finish("never".into());
    tokio::time::sleep(LASTS).await;
    let lost = lost.await.err().unwrap();
    assert!(matches!(lost, DriveError::Lease(LeaseError::Held { .. })));
    assert_eq!(lost.to_string(), format!("run {id} is being driven by two"));
    let finished = taken_over
        .unwrap_or_else(|e| panic!("{e}"))
        .finish("over".into())
        .await
        .unwrap();
    assert_eq!(finished.result.unwrap().unwrap().to_string(), "\"over\"");
}
