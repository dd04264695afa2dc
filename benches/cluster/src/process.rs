//! A process that is measured: `Process`, what it prints, what it costs, how it ends.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One process. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
    leader: Arc<Mutex<Known>>,
}

/// Whom a member takes for the leader, and since when, by the clock that all processes share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) leader: u64,
    pub(crate) since: u64,
}

impl Process {
    /// Starts it; what it has to complain of goes into `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> io::Result<Self> {
        let log = fs::File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn()?;
        let orders = child.stdin.take();
        let out = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let (tell, answers) = mpsc::channel();
        let leader = Arc::new(Mutex::new(Known::default()));
        let seen = Arc::clone(&leader);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some(known) = known(&line) {
                    *seen.lock().unwrap_or_else(PoisonError::into_inner) = known;
                } else if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, orders, answers, leader })
    }

    pub(crate) fn leader(&self) -> Known {
        *self.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives it an order, and waits for the answer.
    pub(crate) fn order(&mut self, order: &str, within: Duration) -> Result<String, String> {
        let orders = self.orders.as_mut().ok_or("it takes no orders")?;
        writeln!(orders, "{order}").map_err(|error| format!("it has ended: {error}"))?;
        self.answers.recv_timeout(within).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("no answer to `{order}` within {within:?}"),
            RecvTimeoutError::Disconnected => "it has ended; see its log".to_owned(),
        })
    }

    /// The processor time of all its threads, in nanoseconds.
    pub(crate) fn cpu(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let tasks = tasks.into_iter().flatten().flatten();
        let nanos = |task: fs::DirEntry| {
            let spent = fs::read_to_string(task.path().join("schedstat")).ok()?;
            spent.split_whitespace().next()?.parse::<u64>().ok()
        };
        tasks.filter_map(nanos).sum()
    }

    /// Its anonymous memory, in bytes.
    pub(crate) fn anonymous(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// SIGKILL; it is gone on return.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }
}

fn known(line: &str) -> Option<Known> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["leader", leader, since] = words[..] else { return None };
    Some(Known { leader: leader.parse().ok()?, since: since.parse().ok()? })
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before; there is nobody to tell.
        let _ = self.kill();
    }
}
