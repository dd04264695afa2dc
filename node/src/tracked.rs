//! A disk whose jobs are counted: `Tracked`. A job may hold the disk, and a disk that a job lets go
//! of last is closed by one of its own threads, nobody knows when. A node that waits until its jobs
//! are over closes its disk itself: once it has stopped, the same directory can be opened.

use holm_wal::{Disk, Done, File, Job, Lasts};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Hands everything on to another disk.
pub(crate) struct Tracked {
    disk: Arc<dyn Disk>,
    jobs: Arc<Jobs>,
}

#[derive(Default)]
struct Jobs {
    /// How many are not over.
    open: AtomicUsize,
    over: Notify,
}

/// One of them.
struct Open(Arc<Jobs>);

impl Tracked {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, jobs: Arc::default() }
    }

    /// Waits until no job holds anything any more. One caller at a time.
    pub(crate) async fn idle(&self) {
        while self.jobs.open.load(Ordering::Acquire) > 0 {
            self.jobs.over.notified().await;
        }
    }
}

impl Open {
    fn one_more(jobs: &Arc<Jobs>) -> Self {
        jobs.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(jobs))
    }
}

/// Also if the job was never done: its disk may be gone.
impl Drop for Open {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.over.notify_one();
        }
    }
}

impl Disk for Tracked {
    fn lasts(&self) -> Lasts {
        self.disk.lasts()
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
        self.disk.create(name, bytes)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.disk.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }

    fn run(&self, job: Job, done: Done) {
        let open = Open::one_more(&self.jobs);
        let done = move |result| {
            done(result);
            drop(open);
        };
        self.disk.run(job, Box::new(done));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holm_wal::MemoryDisk;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Mutex;
    use std::task::{Context, Poll, Waker};

    /// Keeps its jobs until it is told to do them.
    #[derive(Default)]
    struct Later(Mutex<Vec<(Job, Done)>>);

    impl Later {
        fn take(&self) -> Vec<(Job, Done)> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    impl Disk for Later {
        fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn File>> {
            MemoryDisk::new().create(name, bytes)
        }

        fn open(&self, _: &str) -> io::Result<Arc<dyn File>> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn rename(&self, _: &str, _: &str) -> io::Result<()> {
            Ok(())
        }

        fn remove(&self, _: &str) -> io::Result<()> {
            Ok(())
        }

        fn list(&self) -> io::Result<Vec<String>> {
            Ok(Vec::new())
        }

        fn sync_directory(&self) -> io::Result<()> {
            Ok(())
        }

        fn run(&self, job: Job, done: Done) {
            self.0.lock().unwrap().push((job, done));
        }
    }

    fn is_idle(tracked: &Tracked) -> bool {
        let mut idle = pin!(tracked.idle());
        idle.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn a_disk_is_idle_once_its_last_job_holds_nothing_any_more() {
        let later = Arc::new(Later::default());
        let tracked = Arc::new(Tracked::new(later.clone()));
        assert!(is_idle(&tracked));
        let held = Arc::clone(&tracked);
        tracked.run(Box::new(move || held.sync_directory()), Box::new(|_| {}));
        tracked.run(Box::new(|| Ok(())), Box::new(|_| {}));
        let [(first, first_done), second] = later.take().try_into().ok().expect("two jobs");
        assert!(!is_idle(&tracked));
        first_done(first());
        assert_eq!(Arc::strong_count(&tracked), 1, "the job is over, and holds the disk no more");
        assert!(!is_idle(&tracked), "another one is left");
        // It is never done.
        drop(second);
        assert!(is_idle(&tracked));
    }
}
