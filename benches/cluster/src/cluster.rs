//! A cluster of processes of one `Subject`, in a temporary folder: `Cluster`.

use crate::load::{Load, Loaded};
use crate::outside::{self, etcd_leads, http_leader};
use crate::process::Process;
use crate::subject::{Clients, Programs, Start, Subject};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a cluster may take until it has a leader.
const LEADER_MAX: Duration = Duration::from_secs(20);
/// How long an answer may come after what it answers is over.
const ANSWER_GRACE: Duration = Duration::from_secs(20);
/// The pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(2);

/// Processes, and their folder, which goes with them.
pub(crate) struct Cluster {
    subject: Subject,
    programs: Programs,
    processes: Vec<Option<Process>>,
    members: Vec<u16>,
    clients: Vec<u16>,
    no_snapshots: bool,
    folder: TempDir,
}

/// What was seen, and what it cost the members' processes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) loaded: Loaded,
    /// Nanoseconds of processor time, the warm-up included.
    pub(crate) cpu: u64,
    /// Bytes, of the member that has most.
    pub(crate) anonymous: u64,
}

impl Cluster {
    /// Starts all members on empty directories in `folder`, and waits for a leader.
    pub(crate) fn start(
        subject: Subject,
        programs: &Programs,
        folder: &Path,
        no_snapshots: bool,
    ) -> Result<Self, String> {
        let told = |error: std::io::Error| format!("{}: {error}", subject.name());
        let folder = tempfile::Builder::new().prefix("holm-cluster-").tempdir_in(folder);
        let ports = free_ports(2 * usize::try_from(subject.members()).unwrap_or(0));
        let mut members = ports.map_err(told)?;
        let clients = members.split_off(members.len() / 2);
        let programs = programs.clone();
        let folder = folder.map_err(told)?;
        let mut cluster = Self {
            subject,
            programs,
            processes: Vec::new(),
            members,
            clients,
            no_snapshots,
            folder,
        };
        for id in 1..=subject.members() {
            std::fs::create_dir(cluster.dir(id)).map_err(told)?;
            cluster.processes.push(None);
            cluster.launch(id, false)?;
        }
        cluster.leader()?;
        Ok(cluster)
    }

    fn dir(&self, id: u64) -> std::path::PathBuf {
        self.folder.path().join(format!("member{id}"))
    }

    fn launch(&mut self, id: u64, again: bool) -> Result<(), String> {
        let (dir, log) = (self.dir(id), self.folder.path().join(format!("member{id}.log")));
        let start = Start {
            id,
            dir: &dir,
            members: &self.members,
            clients: &self.clients,
            no_snapshots: self.no_snapshots,
            again,
        };
        let command = self.subject.command(&self.programs, &start);
        let process = Process::start(command, &log);
        let process = process.map_err(|error| format!("{}: {error}", self.subject.name()))?;
        self.processes[at(id)] = Some(process);
        Ok(())
    }

    /// Starts a member again that was killed.
    pub(crate) fn restart(&mut self, id: u64) -> Result<(), String> {
        self.launch(id, true)
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, id: u64) -> Result<(), String> {
        let Some(mut process) = self.processes[at(id)].take() else { return Ok(()) };
        process.kill().map_err(|error| error.to_string())
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> + use<> {
        1..=self.subject.members()
    }

    pub(crate) fn process(&self, id: u64) -> Option<&Process> {
        self.processes[at(id)].as_ref()
    }

    /// The leader that each member that runs knows, once they agree.
    pub(crate) fn leader(&mut self) -> Result<u64, String> {
        let begun = Instant::now();
        loop {
            if let Some(leader) = self.known_leader() {
                return Ok(leader);
            }
            if begun.elapsed() > LEADER_MAX {
                let name = self.subject.name();
                return Err(format!("{name} has no leader after {LEADER_MAX:?}{}", self.logs()));
            }
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    /// The leader, if all agree at the moment.
    pub(crate) fn known_leader(&self) -> Option<u64> {
        let running: Vec<u64> = self.ids().filter(|id| self.process(*id).is_some()).collect();
        match self.subject {
            Subject::Redis => {
                let port = self.clients[0];
                std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(|_| 1)
            }
            Subject::Etcd => running.into_iter().find(|id| etcd_leads(self.clients[at(*id)])),
            Subject::HolmHttp => {
                let mut known = running.iter().map(|id| http_leader(self.clients[at(*id)]));
                let first = known.next()??;
                known.all(|other| other == Some(first)).then_some(first)
            }
            // The others have no say.
            Subject::Floor => Some(1).filter(|id| self.process(*id).is_some_and(says_leader)),
            _ => {
                let known = |id: &u64| self.process(*id).map(|process| process.leader().leader);
                let first = known(running.first()?)?;
                let agree = running.iter().all(|id| known(id) == Some(first));
                (first > 0 && agree).then_some(first)
            }
        }
    }

    /// Has it do this.
    pub(crate) fn load(&mut self, load: Load) -> Result<Measured, String> {
        let leader = self.leader()?;
        let before = self.cpu();
        let within = load.warm_up + load.measured + ANSWER_GRACE;
        let loaded = match self.subject.clients() {
            Clients::Outside(speech) => outside::load(speech, self.clients[at(leader)], load),
            Clients::InLeader => self.order(leader, load, within),
            Clients::InFollower => {
                let follower = self.ids().find(|id| *id != leader).unwrap_or(leader);
                self.order(follower, load, within)
            }
        };
        let loaded = loaded.map_err(|e| format!("{}: {e}{}", self.subject.name(), self.logs()))?;
        Ok(Measured { loaded, cpu: self.cpu().saturating_sub(before), anonymous: self.anonymous() })
    }

    fn order(&mut self, id: u64, load: Load, within: Duration) -> Result<Loaded, String> {
        let process = self.processes[at(id)].as_mut().ok_or("it does not run")?;
        process.order(&load.to_string(), within)?.parse()
    }

    fn cpu(&self) -> u64 {
        self.processes.iter().flatten().map(Process::cpu).sum()
    }

    /// The anonymous memory of the member that has most, in bytes.
    pub(crate) fn anonymous(&self) -> u64 {
        self.processes.iter().flatten().map(Process::anonymous).max().unwrap_or(0)
    }

    /// The ends of the members' logs.
    fn logs(&self) -> String {
        let tail = |id| {
            let text = std::fs::read_to_string(self.folder.path().join(format!("member{id}.log")));
            let text = text.unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(5).collect();
            format!("\n--- member {id}: {}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
        };
        self.ids().map(tail).collect()
    }
}

fn says_leader(process: &Process) -> bool {
    process.leader().leader > 0
}

fn at(id: u64) -> usize {
    usize::try_from(id - 1).unwrap_or(0)
}

/// Ports that nobody has at the moment.
fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
