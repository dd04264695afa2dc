//! The lab's members: [`Members`], a real `holm` process in each member's namespace, and the same
//! binary as their client. HTTP is served on each namespace's own loopback.

use super::guard::Guard;
use super::map::Map;
use super::network::Network;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// How many of a log's last lines are shown when something failed.
const LOG_LINES: usize = 15;

pub(super) struct Members {
    program: PathBuf,
    folder: PathBuf,
    /// By number, each with the process that serves, which ends with its standard input.
    spaces: BTreeMap<u64, (String, Child)>,
}

/// What a member says of itself.
pub(super) struct Seen {
    pub(super) leader: Option<u64>,
    pub(super) term: u64,
    /// How it reaches the others.
    pub(super) reached: BTreeMap<u64, String>,
}

impl Members {
    /// Starts each of the map's, from what `holm init` wrote into the folder.
    pub(super) fn start(
        program: &Path,
        folder: &Path,
        (map, network): (&Map, &Network),
        guard: &mut Guard,
    ) -> Result<Self, String> {
        let mut members =
            Self { program: program.into(), folder: folder.into(), spaces: BTreeMap::new() };
        for member in &map.members {
            let space = network.member(member.id);
            let log = File::create(members.log(member.id)).map_err(|e| format!("a log: {e}"))?;
            let mut command = members.holm(&space, &["serve", "--bootstrap", "--stop-with-stdin"]);
            command.arg("--config").arg(members.file(member.id, "holm.toml"));
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
            let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
            guard.ends(child.id())?;
            members.spaces.insert(member.id, (space, child));
        }
        Ok(members)
    }

    /// What a member says of itself now; none while it does not answer.
    pub(super) fn seen(&self, id: u64) -> Option<Seen> {
        let said = self.ask(id, &["status", "-o", "json", "--timeout", "2s"]).ok()?;
        let said: Value = serde_json::from_str(&said).ok()?;
        let status = &said[0]["status"];
        let others = status["members"].as_array()?.iter();
        let reached = others.filter_map(|member| {
            Some((member["node"].as_u64()?, member["reached"].as_str()?.to_owned()))
        });
        let (leader, term) = (status["leader"].as_u64(), status["term"].as_u64()?);
        Some(Seen { leader, term, reached: reached.filter(|(node, _)| *node != id).collect() })
    }

    /// Adds one to the lab's counter at this member, once.
    pub(super) fn increment(&self, id: u64) -> Result<(), String> {
        self.ask(id, &["counter", "add", "hits", "--timeout", "30s"]).map(|_| ())
    }

    /// Whether one is added to the lab's counter at this member, within this time.
    pub(super) fn tries_to_increment(&self, id: u64, timeout: &str) -> bool {
        self.ask(id, &["counter", "add", "hits", "--timeout", timeout]).is_ok()
    }

    /// The lab's counter as it is now, asked at this member.
    pub(super) fn counter(&self, id: u64, timeout: &str) -> Result<u64, String> {
        let said = self.ask(id, &["counter", "get", "hits", "--timeout", timeout])?;
        said.trim().parse().map_err(|_| format!("member {id} says `{said}`"))
    }

    /// What this member answers to a command of `holm`.
    pub(super) fn ask(&self, id: u64, words: &[&str]) -> Result<String, String> {
        let (space, _) = &self.spaces[&id];
        let mut command = self.holm(space, words);
        let Output { status, stdout, stderr } =
            command.output().map_err(|error| format!("{command:?}: {error}"))?;
        if !status.success() {
            let why = String::from_utf8_lossy(&stderr);
            return Err(format!("member {id}: holm {}: {}", words.join(" "), why.trim()));
        }
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }

    /// The last lines of each member's log.
    pub(super) fn logs(&self) -> String {
        let mut text = String::new();
        for id in self.spaces.keys() {
            let log = std::fs::read_to_string(self.log(*id)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            text += &format!("--- member {id}\n");
            for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
                text += &format!("{line}\n");
            }
        }
        text
    }

    /// `holm` in a namespace.
    fn holm(&self, space: &str, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", space]).arg(&self.program).args(words);
        // Settings of whoever runs the lab are not its own, but for what is logged.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HOLM_") && name != "HOLM_LOG" {
                command.env_remove(name);
            }
        }
        // Each namespace has a loopback of its own.
        if words[0] == "serve" {
            command.env("HOLM_HTTP", "127.0.0.1:7680");
        }
        command
    }

    fn log(&self, id: u64) -> PathBuf {
        self.file(id, "log")
    }

    fn file(&self, id: u64, name: &str) -> PathBuf {
        self.folder.join(format!("node{id}")).join(name)
    }
}
