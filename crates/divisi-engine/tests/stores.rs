//! Both stores, through the door that any other store has.

use divisi_engine::store::{FileLeases, MemoryStore, SqliteStore, conformance};

#[tokio::test]
async fn the_store_in_memory_does_what_a_store_must() {
    conformance::run(MemoryStore::new).await;
}

#[tokio::test]
async fn the_store_in_a_file_does_what_a_store_must() {
    let folder = tempfile::tempdir().unwrap();
    let mut stores = 0;
    conformance::run(|| {
        stores += 1;
        SqliteStore::open(folder.path().join(format!("{stores}.db"))).unwrap()
    })
    .await;
}

#[tokio::test]
async fn locks_of_files_do_what_leases_must() {
    let folder = tempfile::tempdir().unwrap();
    conformance::leases(&FileLeases::new(folder.path().join("locks"))).await;
}
