//! What can be done to a member's process, and seen of it, from outside: `Cluster` stops it for a
//! while, and looks at its memory and its files.

use super::{Cluster, ClusterError, LOOK_PAUSE, system};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

impl Cluster {
    /// Where member `id` keeps its log and its snapshots.
    #[must_use]
    pub fn data_of(&self, id: u64) -> PathBuf {
        self.folder().join(format!("node{id}")).join("data")
    }

    /// The files there, by name, with their lengths in bytes. One that is renamed or removed
    /// meanwhile may be missing.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn files_of(&self, id: u64) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for file in fs::read_dir(self.data_of(id))? {
            let file = file?;
            if let Ok(metadata) = file.metadata() {
                found.push((file.file_name().to_string_lossy().into_owned(), metadata.len()));
            }
        }
        Ok(found)
    }

    /// The memory that is member `id`'s own, in bytes: what it has allocated, not the files that it
    /// maps.
    ///
    /// # Errors
    /// When it can't be looked at, because the process has ended for example.
    ///
    /// # Panics
    /// When there is no such member, or it does not run.
    pub fn own_memory_of(&self, id: u64) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child(id).id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("it says nothing of RssAnon"))
    }

    /// Has member `id` stand still, by SIGSTOP, until it is told to go on.
    ///
    /// # Errors
    /// When the system refuses.
    ///
    /// # Panics
    /// When there is no such member, or it does not run.
    pub fn pause(&self, id: u64) -> Result<(), ClusterError> {
        self.signal(id, Signal::STOP)
    }

    /// Has a paused member `id` go on.
    ///
    /// # Errors
    /// When the system refuses.
    ///
    /// # Panics
    /// When there is no such member, or it does not run.
    pub fn go_on(&self, id: u64) -> Result<(), ClusterError> {
        self.signal(id, Signal::CONT)
    }

    /// Waits until member `id` ends by itself, and says how.
    ///
    /// # Errors
    /// When it does not within the time, or can't be looked at.
    ///
    /// # Panics
    /// When there is no such member, or it does not run.
    pub async fn ended(&mut self, id: u64, within: Duration) -> Result<ExitStatus, ClusterError> {
        let (at, start) = (self.at(id), Instant::now());
        loop {
            let child = self.members[at].child.as_mut();
            let child = child.unwrap_or_else(|| panic!("member {id} does not run"));
            let ended = child.try_wait().map_err(system("a member can't be looked at"))?;
            if let Some(status) = ended {
                self.members[at].child = None;
                return Ok(status);
            }
            if start.elapsed() > within {
                let what = format!("member {id} still runs after {within:?}");
                return Err(ClusterError::Member { what, log: self.log_of(id) });
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    pub(super) fn signal(&self, id: u64, signal: Signal) -> Result<(), ClusterError> {
        let told = kill_process(Pid::from_child(self.child(id)), signal);
        told.map_err(|error| system(&format!("member {id} can't be sent a signal"))(error.into()))
    }

    fn child(&self, id: u64) -> &Child {
        let child = self.members[self.at(id)].child.as_ref();
        child.unwrap_or_else(|| panic!("member {id} does not run"))
    }
}
