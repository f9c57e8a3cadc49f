//! Counts the connections of a server, from the kernel's table.

use anyhow::Result;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Reads the kernel's table repeatedly, and keeps the maximum.
pub(crate) struct Connections {
    most: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Connections {
    /// Counts the open connections of clients on this machine to `server`.
    pub(crate) fn to(server: SocketAddr) -> Self {
        const PAUSE: Duration = Duration::from_millis(10);
        let (most, done) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let thread = {
            let (most, done) = (Arc::clone(&most), Arc::clone(&done));
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    if let Ok(open) = open(server) {
                        most.fetch_max(open, Ordering::Relaxed);
                    }
                    std::thread::sleep(PAUSE);
                }
            })
        };
        Self {
            most,
            done,
            thread: Some(thread),
        }
    }

    /// The most that were open at once.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed already, and a drop must not panic.
            let _ = thread.join();
        }
    }
}

/// Established connections to `server`.
fn open(server: SocketAddr) -> Result<usize> {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let port = format!(":{:04X}", server.port());
    let is_open = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        let (remote, state) = (fields.next().unwrap_or_default(), fields.next());
        remote.ends_with(&port) && state == Some(ESTABLISHED)
    };
    Ok(table.lines().filter(is_open).count())
}
