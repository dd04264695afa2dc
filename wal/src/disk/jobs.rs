//! What waits for the threads of a disk: [`Jobs`]. One job wakes one thread: a sync is on the path
//! of every write, and a second thread that wakes only to wait again would take a core from it.

use crate::disk::{Done, Job};
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs in the order in which they came.
pub(super) struct Jobs {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    jobs_max: usize,
}

struct Waiting {
    jobs: VecDeque<(Job, Done)>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// What waits is still done; nothing is added.
    Closed,
}

impl Jobs {
    pub(super) fn new(jobs_max: usize) -> Self {
        let waiting = Waiting { jobs: VecDeque::new(), state: State::Open };
        Self { waiting: Mutex::new(waiting), wake: Condvar::new(), jobs_max }
    }

    /// Adds a job, or gives it back: too many wait, or the disk is dropped.
    pub(super) fn add(&self, job: Job, done: Done) -> Result<(), (Job, Done)> {
        let mut waiting = self.lock();
        if waiting.state == State::Closed || waiting.jobs.len() >= self.jobs_max {
            return Err((job, done));
        }
        waiting.jobs.push_back((job, done));
        // Before it wakes: the thread would wait for the lock.
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    /// The threads do what waits, and end.
    pub(super) fn close(&self) {
        self.lock().state = State::Closed;
        self.wake.notify_all();
    }

    /// A thread's work, until the disk is dropped.
    pub(super) fn work(&self) {
        while let Some((job, done)) = self.next() {
            let result = catch_unwind(AssertUnwindSafe(job));
            done(result.unwrap_or_else(|_| Err(io::Error::other("the disk's job panicked"))));
        }
    }

    fn next(&self) -> Option<(Job, Done)> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.state == State::Closed {
                return None;
            }
            waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that holds the lock can panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn jobs_beyond_the_bound_are_given_back_and_what_waits_is_done_after_the_close() {
        let jobs = Arc::new(Jobs::new(2));
        let (tell, told) = mpsc::channel();
        let job = |number: u64| -> (Job, Done) {
            let tell = tell.clone();
            (Box::new(|| Ok(())), Box::new(move |_| tell.send(number).unwrap()))
        };
        let add = |number| {
            let (job, done) = job(number);
            jobs.add(job, done).is_ok()
        };
        assert_eq!([add(1), add(2), add(3)], [true, true, false]);
        jobs.close();
        assert!(!add(4), "it is closed");
        let threads = [(); 2].map(|()| {
            let jobs = Arc::clone(&jobs);
            thread::spawn(move || jobs.work())
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let mut done: Vec<u64> = told.try_iter().collect();
        done.sort_unstable();
        assert_eq!(done, [1, 2]);
    }

    /// Each job is waited for before the next one is added, so that threads are about to wait,
    /// or just do, whenever one comes: had its wake-up been lost, it would never be done.
    #[test]
    fn no_job_is_left_lying_whenever_it_comes() {
        const STUCK: Duration = Duration::from_secs(120);
        let jobs = Arc::new(Jobs::new(64));
        let threads = [(); 5].map(|()| {
            let jobs = Arc::clone(&jobs);
            thread::spawn(move || jobs.work())
        });
        let adders = [1, 2, 3].map(|at_once| {
            let jobs = Arc::clone(&jobs);
            thread::spawn(move || {
                let (tell, told) = mpsc::channel();
                for _ in 0..10_000 {
                    for _ in 0..at_once {
                        let tell = tell.clone();
                        let done: Done = Box::new(move |_| tell.send(()).unwrap());
                        assert!(jobs.add(Box::new(|| Ok(())), done).is_ok());
                    }
                    for _ in 0..at_once {
                        told.recv_timeout(STUCK).expect("it is done");
                    }
                }
            })
        });
        adders.into_iter().for_each(|adder| adder.join().unwrap());
        jobs.close();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn a_job_that_panics_is_an_error_and_the_thread_goes_on() {
        let jobs = Jobs::new(2);
        let (tell, told) = mpsc::channel();
        let panicked = tell.clone();
        let first: Done = Box::new(move |result| panicked.send(result.is_err()).unwrap());
        assert!(jobs.add(Box::new(|| panic!("a test's")), first).is_ok());
        let second: Done = Box::new(move |result| tell.send(result.is_err()).unwrap());
        assert!(jobs.add(Box::new(|| Ok(())), second).is_ok());
        jobs.close();
        jobs.work();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [true, false]);
    }
}
