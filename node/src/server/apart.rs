//! A thread of its own for the member: [`Apart`] runs its log, links and state, so that however
//! many requests HTTP has at hand, heartbeats and acknowledgements do not wait behind them; and
//! what one thread does alone costs no wake-ups between threads.

use std::io;
use std::thread::{self, JoinHandle};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A runtime on a thread. Dropping it ends the thread, and what still runs there.
pub(super) struct Apart {
    handle: Handle,
    /// Present until it is dropped.
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Apart {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("holm-member".to_owned()).spawn(move || {
            // The sender is dropped, or sends: either way it is over.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self { handle, running: Some((end, thread)) })
    }

    /// Runs this there, and all that it spawns.
    ///
    /// # Panics
    /// If it does.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.handle.spawn(future).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.running.take() {
            drop(end);
            // A panic was reported by its own message.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn what_it_runs_and_what_that_spawns_runs_on_its_thread_and_ends_with_it() {
        let name = || thread::current().name().map(str::to_owned);
        let apart = Apart::start().expect("a thread");
        let held = Arc::new(());
        let kept = Arc::clone(&held);
        let (own, spawned) = apart
            .run(async move {
                let spawned = tokio::task::spawn(async move { name() }).await;
                tokio::task::spawn(async move {
                    std::future::pending::<()>().await;
                    drop(kept);
                });
                (name(), spawned.expect("no panic"))
            })
            .await;
        assert_eq!(
            (own.as_deref(), spawned.as_deref()),
            (Some("holm-member"), Some("holm-member"))
        );
        assert_eq!(Arc::strong_count(&held), 2);
        drop(apart);
        assert_eq!(Arc::strong_count(&held), 1, "what still ran was dropped");
    }
}
