//! A cluster of `holm serve` processes on this machine's loopback, in a temporary folder:
//! [`Cluster`] starts, kills, restarts and asks its members, and leaves nothing behind.

mod ports;
mod signs;

pub use ports::free_ports;

use super::client::{Answer, Ask, Client, ClientError, Endpoint};
use super::setup::{Serves, Setup};
use crate::status::Status;
use crate::topology::{Island, Member, Topology};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long one look at a member's status may take.
const LOOK_MAX: Duration = Duration::from_millis(500);
/// The pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// How many bytes of a member's log an error shows.
const LOG_TAIL_BYTES: usize = 2000;

/// Processes, their folder and a client. Dropping it kills and removes them.
#[derive(Debug)]
pub struct Cluster {
    program: PathBuf,
    members: Vec<Process>,
    client: Client,
    // After the members, so that their folders go when they do not write there any more.
    folder: TempDir,
}

/// What a cluster is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Islands, members and links, without keys; addresses on loopback.
    pub topology: Topology,
    /// Where members listen whose address is that of something in between.
    pub listens: BTreeMap<u64, String>,
    /// TOML that goes into each configuration file, such as `snapshot_entries = 100`.
    pub settings: String,
}

/// Why a cluster is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The system refused something.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// A member is not there, or not as it was waited for.
    #[error("{what}{log}")]
    Member {
        /// What was waited for.
        what: String,
        /// The end of the member's log.
        log: String,
    },
}

/// How a member's process is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Launch {
    Bootstrap,
    Restart,
}

#[derive(Debug)]
struct Process {
    id: u64,
    http: Endpoint,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Cluster {
    /// Writes the configurations of `members` members, starts `program serve --bootstrap` for
    /// each, and waits until they have a leader, no longer than `within`. `settings` is TOML that
    /// goes into each configuration file, such as `snapshot_entries = 100`.
    ///
    /// # Errors
    /// When the system refuses, a member ends, or no leader is elected in time.
    pub async fn start(
        program: &Path,
        members: usize,
        settings: &str,
        within: Duration,
    ) -> Result<Self, ClusterError> {
        let ports = free_ports(members).map_err(system("there are no free ports"))?;
        let topology = local_topology(&ports);
        let plan = Plan { topology, listens: BTreeMap::new(), settings: settings.into() };
        Self::start_as(program, plan, within).await
    }

    /// Writes the configurations of what is planned, starts `program serve --bootstrap` for each
    /// member, and waits until they have a leader, no longer than `within`.
    ///
    /// # Errors
    /// When the system refuses, a member ends, or no leader is elected in time.
    pub async fn start_as(
        program: &Path,
        plan: Plan,
        within: Duration,
    ) -> Result<Self, ClusterError> {
        let folder = tempfile::Builder::new().prefix("holm-").tempdir();
        let folder = folder.map_err(system("a temporary folder can't be made"))?;
        let members = plan.topology.members.len();
        let http_ports = ports_beside(&plan).map_err(system("there are no free ports"))?;
        let setup = Setup::sealed("local", plan.topology);
        let setup = setup.map_err(system("keys can't be drawn"))?;
        let ids: Vec<_> = setup.topology().members.iter().map(|member| member.id).collect();
        let ports: BTreeMap<_, _> = ids.iter().copied().zip(http_ports.iter().copied()).collect();
        let http = |id: u64| format!("127.0.0.1:{}", ports[&id]);
        let serves = |member: &Member| {
            let listen = plan.listens.get(&member.id).or(member.address.as_ref()).cloned();
            Serves { listen, http: http(member.id) }
        };
        let written = setup.write(folder.path(), serves, &plan.settings);
        written.map_err(system("the configurations can't be written"))?;
        let mut cluster = Self {
            program: program.to_owned(),
            members: Vec::new(),
            client: Client::new(),
            folder,
        };
        for id in ids {
            let http = Endpoint::parse(&http(id)).expect("an address and a port");
            let config = Setup::config_of(cluster.folder(), id);
            let log = cluster.folder().join(format!("node{id}.log"));
            cluster.members.push(Process { id, http, config, log, child: None });
        }
        for at in 0..members {
            cluster.launch(at, Launch::Bootstrap)?;
        }
        cluster.leader(within).await?;
        Ok(cluster)
    }

    /// The folder that holds everything, as long as the cluster lives.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The members' numbers, ascending.
    pub fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.members.iter().map(|process| process.id)
    }

    /// Where each member serves HTTP, in the order of [`Self::ids`].
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.members.iter().map(|process| process.http.clone()).collect()
    }

    /// Where member `id` serves HTTP.
    ///
    /// # Panics
    /// When there is no such member.
    #[must_use]
    pub fn endpoint(&self, id: u64) -> &Endpoint {
        &self.members[self.at(id)].http
    }

    /// The client that the cluster uses itself.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Kills member `id` with SIGKILL and waits until it is gone. Nothing happens if it is.
    ///
    /// # Errors
    /// When the system refuses.
    ///
    /// # Panics
    /// When there is no such member.
    pub fn kill(&mut self, id: u64) -> Result<(), ClusterError> {
        let at = self.at(id);
        let killed = self.members[at].kill();
        killed.map_err(system(&format!("member {id} can't be killed")))
    }

    /// Starts member `id` again, on its old directory.
    ///
    /// # Errors
    /// When the system refuses.
    ///
    /// # Panics
    /// When there is no such member, or it runs.
    pub fn restart(&mut self, id: u64) -> Result<(), ClusterError> {
        let at = self.at(id);
        assert!(self.members[at].child.is_none(), "member {id} runs");
        self.launch(at, Launch::Restart)
    }

    /// Tells member `id` to read its secrets again, by SIGHUP. It has done so once its status shows
    /// them.
    ///
    /// # Errors
    /// When the system refuses.
    ///
    /// # Panics
    /// When there is no such member, or it does not run.
    pub fn reread_secrets(&self, id: u64) -> Result<(), ClusterError> {
        self.signal(id, Signal::HUP)
    }

    /// The file that member `id` reads the cluster's secrets from.
    #[must_use]
    pub fn secrets_of(&self, id: u64) -> PathBuf {
        Setup::secrets_of(self.folder(), id)
    }

    /// Asks member `id` once.
    ///
    /// # Errors
    /// When there is no answer within the time.
    ///
    /// # Panics
    /// When there is no such member.
    pub async fn ask(&self, id: u64, ask: &Ask, within: Duration) -> Result<Answer, ClientError> {
        self.client.ask(self.endpoint(id), ask, within).await
    }

    /// What member `id` says of itself, if it answers.
    ///
    /// # Panics
    /// When there is no such member.
    pub async fn status(&self, id: u64) -> Option<Status> {
        self.ask(id, &Ask::get("/v1/status"), LOOK_MAX).await.ok()?.json()
    }

    /// The member that a majority follows, once there is one.
    ///
    /// # Errors
    /// When there is none within the time, or a member's process has ended by itself.
    pub async fn leader(&mut self, within: Duration) -> Result<u64, ClusterError> {
        let start = Instant::now();
        loop {
            let mut votes = BTreeMap::<(u64, u64), usize>::new();
            for id in self.ids().collect::<Vec<_>>() {
                self.check_alive(id)?;
                if let Some(Status { term, leader: Some(leader), .. }) = self.status(id).await {
                    *votes.entry((term, leader)).or_default() += 1;
                }
            }
            let majority = self.members.len() / 2 + 1;
            if let Some(((_, leader), _)) = votes.iter().find(|(_, count)| **count >= majority) {
                return Ok(*leader);
            }
            if start.elapsed() > within {
                let what = format!("the members have no leader after {within:?}");
                return Err(ClusterError::Member { what, log: self.logs() });
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    /// Waits until member `id` has applied at least up to `index`, and says how it stands then.
    ///
    /// # Errors
    /// When it does not get there within the time, or its process has ended by itself.
    ///
    /// # Panics
    /// When there is no such member.
    pub async fn caught_up(
        &mut self,
        id: u64,
        index: u64,
        within: Duration,
    ) -> Result<Status, ClusterError> {
        let start = Instant::now();
        loop {
            self.check_alive(id)?;
            match self.status(id).await {
                Some(status) if status.applied >= index => return Ok(status),
                _ if start.elapsed() > within => {
                    let what = format!("member {id} has not applied {index} after {within:?}");
                    return Err(ClusterError::Member { what, log: self.log_of(id) });
                }
                _ => tokio::time::sleep(LOOK_PAUSE).await,
            }
        }
    }

    fn at(&self, id: u64) -> usize {
        let found = self.members.iter().position(|process| process.id == id);
        found.unwrap_or_else(|| panic!("there is no member {id}"))
    }

    /// A member that was not killed must run.
    fn check_alive(&mut self, id: u64) -> Result<(), ClusterError> {
        let at = self.at(id);
        let Some(child) = &mut self.members[at].child else { return Ok(()) };
        let ended = child.try_wait().map_err(system("a member can't be looked at"))?;
        let Some(status) = ended else { return Ok(()) };
        let what = format!("member {id} has ended by itself ({status})");
        Err(ClusterError::Member { what, log: self.log_of(id) })
    }

    fn log_of(&self, id: u64) -> String {
        let path = &self.members[self.at(id)].log;
        let bytes = fs::read(path).unwrap_or_default();
        let tail = &bytes[bytes.len().saturating_sub(LOG_TAIL_BYTES)..];
        format!("\n--- the end of member {id}'s log:\n{}", String::from_utf8_lossy(tail))
    }

    fn logs(&self) -> String {
        self.ids().map(|id| self.log_of(id)).collect()
    }

    fn launch(&mut self, at: usize, launch: Launch) -> Result<(), ClusterError> {
        let process = &mut self.members[at];
        let log = File::options().create(true).append(true).open(&process.log);
        let log = log.map_err(system("a log can't be opened"))?;
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--config").arg(&process.config);
        // The member ends with our end of this pipe, so none outlives a killed parent.
        command.arg("--stop-with-stdin").stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(log);
        // A group of its own: a Ctrl-C at the terminal is the parent's to answer.
        command.process_group(0);
        for (name, _) in std::env::vars_os() {
            // What the caller's own environment overrides is not meant for these members.
            let foreign = name.to_str().is_some_and(|name| name.starts_with("HOLM_"));
            if foreign && name != "HOLM_LOG" {
                command.env_remove(name);
            }
        }
        if launch == Launch::Bootstrap {
            command.arg("--bootstrap");
        }
        let child = command.spawn();
        process.child = Some(child.map_err(system("a member can't be started"))?);
        Ok(())
    }
}

impl Process {
    fn kill(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        child.wait().map(|_| ())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // There is nobody left to tell; the end of the pipe stops what could not be killed.
        let _ = self.kill();
    }
}

/// Each member on an island of its own; all may dial each other.
fn local_topology(ports: &[u16]) -> Topology {
    let island = |id| format!("island-{id}");
    let member =
        |(id, port): (u64, &u16)| Member::new(id, island(id), Some(format!("127.0.0.1:{port}")));
    let members: Vec<_> = (1..).zip(ports).map(member).collect();
    let islands = members.iter().map(|member| Island { name: member.island.clone() }).collect();
    Topology { islands, members, links: Vec::new() }
}

/// A free port for each member's HTTP, that is none of those which the plan will use itself.
fn ports_beside(plan: &Plan) -> io::Result<Vec<u16>> {
    let members = &plan.topology.members;
    let addresses = members.iter().filter_map(|member| member.address.as_ref());
    let used: Vec<_> = addresses.chain(plan.listens.values()).collect();
    let is_used = |port: u16| used.iter().any(|address| address.ends_with(&format!(":{port}")));
    let ports = free_ports(members.len() + used.len())?.into_iter();
    Ok(ports.filter(|port| !is_used(*port)).take(members.len()).collect())
}

fn system(what: &str) -> impl Fn(io::Error) -> ClusterError {
    let what = what.to_owned();
    move |error| ClusterError::System { what: what.clone(), error }
}
