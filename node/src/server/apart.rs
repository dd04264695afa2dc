//! A thread of its own for the member: [`Apart`] runs its log, links and state, so that however
//! long a request of HTTP takes, heartbeats and acknowledgements do not wait behind it; and what
//! one thread does alone costs no wake-ups between threads. [`on`] runs something there, or
//! anywhere else, for as long as it is waited for.

use std::io;
use std::thread::{self, JoinHandle};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle as Task;

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

    #[cfg(test)]
    pub(super) fn runtime(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs this there, and all that it spawns. Dropping the future drops this one, too.
    ///
    /// # Panics
    /// If it does.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        on(&self.handle, future).await
    }
}

/// Whether other threads can hardly run beside the member's.
pub(super) fn has_few_cores() -> bool {
    thread::available_parallelism().map_or(1, usize::from) <= 2
}

/// Runs this on another runtime. Dropping the future drops this one, too.
///
/// # Panics
/// If it does, or the runtime is gone.
pub(super) async fn on<T: Send + 'static>(
    runtime: &Handle,
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    let mut waited = WaitedFor(runtime.spawn(future));
    match (&mut waited.0).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A task that ends when nobody waits for it.
struct WaitedFor<T>(Task<T>);

impl<T> Drop for WaitedFor<T> {
    fn drop(&mut self) {
        self.0.abort();
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

    #[tokio::test]
    async fn what_nobody_waits_for_is_dropped() {
        let apart = Apart::start().expect("a thread");
        let (begin, begun) = oneshot::channel();
        let (held, dropped) = oneshot::channel::<()>();
        let runs = apart.run(async move {
            begin.send(()).expect("it is waited for");
            std::future::pending::<()>().await;
            drop(held);
        });
        tokio::select! {
            biased;
            () = runs => unreachable!("it never ends"),
            begun = begun => begun.expect("it began"),
        }
        assert!(dropped.await.is_err(), "it was dropped, and with it the sender");
    }
}
