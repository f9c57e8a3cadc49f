//! A mock for tests that are not async.

use crate::config::Config;
use crate::server::Mock;
use std::ops::Deref;
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A [`Mock`] with its own thread and runtime. Dropping it ends both.
pub struct MockThread {
    mock: Option<Mock>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MockThread {
    /// Starts a mock on a free port and returns when it listens.
    ///
    /// # Panics
    ///
    /// If no thread can be started or no port is free.
    pub fn start(config: Config) -> Self {
        let (started, mock) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime can be made").block_on(async {
                started
                    .send(Mock::start(config).await)
                    .expect("the starter waits for the mock");
                // An error means that the sender was dropped, which stops it as well.
                stopped.await.ok();
            });
        });
        let mock = mock.recv().expect("the thread starts the mock");
        Self {
            mock: Some(mock),
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Deref for MockThread {
    type Target = Mock;
    fn deref(&self) -> &Mock {
        self.mock
            .as_ref()
            .expect("the mock is there until the drop")
    }
}

impl Drop for MockThread {
    fn drop(&mut self) {
        drop(self.mock.take());
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed already, and a drop must not panic.
            thread.join().ok();
        }
    }
}
