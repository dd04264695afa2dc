//! The topology file: [`Topology`] says which islands there are, which member is on which, and
//! who may dial whom. The node and the simulator read the same file.
//!
//! ```toml
//! [[islands]]
//! name = "north"
//!
//! [[islands]]
//! name = "south"
//!
//! [[members]]
//! id = 1
//! island = "north"
//! address = "10.0.0.1:7600"
//! key = "holm-public-…"     # where links are sealed: all members have one
//!
//! [[members]]
//! id = 2
//! island = "south"          # no address: member 2 dials, and is never dialled
//! relay = false             # and passes nothing on for others
//! weight = 2                # and owns twice as many keys as member 1
//!
//! [[links]]                 # one direction; without an entry, islands may dial each other
//! from = "north"
//! to = "south"
//! dial = false
//! ```

mod file_error;
mod reach;

pub use file_error::FileError;

use crate::rendezvous::Placement;
use holm_raft_core::Configuration;
use holm_transport::PublicKey;
use reach::Reach;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The port between members where an address names none.
pub const MEMBER_PORT: u16 = 7600;

/// Islands, members and links, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// The networks.
    #[serde(default)]
    pub islands: Vec<Island>,
    /// The members on them.
    #[serde(default)]
    pub members: Vec<Member>,
    /// What differs from "everybody may dial everybody".
    #[serde(default)]
    pub links: Vec<Link>,
}

/// One network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Island {
    /// Its name, 1 to [`Topology::ISLAND_BYTES_MAX`] bytes.
    pub name: String,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its number, from 1.
    pub id: u64,
    /// The name of its island.
    pub island: String,
    /// Where it accepts members, as `host:port`; none if it only dials. Read from a file, a
    /// missing port has become [`MEMBER_PORT`].
    #[serde(default, deserialize_with = "address", skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What it proves itself with, where links are sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKey>,
    /// Whether it passes on what others send to each other. Default: true.
    #[serde(default = "relays")]
    pub relay: bool,
    /// How many keys it owns next to the others ([`rendezvous`](crate::rendezvous)); 0: none.
    /// Default: 1.
    #[serde(default = "weighs", skip_serializing_if = "weighs_one")]
    pub weight: u16,
}

/// What holds from one island to another, in this direction only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The dialling island.
    pub from: String,
    /// The dialled island.
    pub to: String,
    /// Whether members of `from` may dial members of `to`.
    pub dial: bool,
}

impl Member {
    /// A member without a key, that relays.
    #[must_use]
    pub fn new(id: u64, island: impl Into<String>, address: Option<String>) -> Self {
        Self { id, island: island.into(), address, key: None, relay: relays(), weight: weighs() }
    }
}

impl Topology {
    /// The longest name of an island, in bytes.
    pub const ISLAND_BYTES_MAX: usize = 128;
    /// The longest address, in bytes.
    pub const ADDRESS_BYTES_MAX: usize = 261;

    /// The topology in a file's text, checked.
    ///
    /// # Errors
    /// When the text is not TOML, has unknown keys, or contradicts itself ([`Self::check`]).
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let topology: Self = toml::from_str(text).map_err(|error| FileError::toml(text, &error))?;
        topology.check()?;
        Ok(topology)
    }

    /// Whether member `from` may open a connection to member `to`: the link between their islands
    /// lets it, and `to` has an address. False for unknown members and for a member itself.
    #[must_use]
    pub fn may_dial(&self, from: u64, to: u64) -> bool {
        match (self.member(from), self.member(to)) {
            (Some(from), Some(to)) => {
                from.id != to.id && to.address.is_some() && self.lets_dial(&from.island, &to.island)
            }
            _ => false,
        }
    }

    /// The member with this number.
    #[must_use]
    pub fn member(&self, id: u64) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Whether the topology is one that a cluster can live on.
    ///
    /// # Errors
    /// The first contradiction: an island, member or link given twice, a name that is used but not
    /// given, a key that is another's or missing, an island that nobody can reach, or two members
    /// that could never find each other, neither by a link nor through members that relay.
    pub fn check(&self) -> Result<(), FileError> {
        self.check_islands()?;
        self.check_members()?;
        self.check_keys()?;
        self.check_links()?;
        Reach::of(self).check()
    }

    fn check_islands(&self) -> Result<(), FileError> {
        let mut seen = BTreeSet::new();
        for Island { name } in &self.islands {
            let key = format!("islands `{name}`: name");
            if name.is_empty() || name.len() > Self::ISLAND_BYTES_MAX {
                let problem = format!("an island's name has 1 to {} bytes", Self::ISLAND_BYTES_MAX);
                return Err(FileError::new(key, problem, "choose another name"));
            }
            if !seen.insert(name) {
                return Err(FileError::new(key, "is given twice", "remove or rename one"));
            }
        }
        Ok(())
    }

    fn check_members(&self) -> Result<(), FileError> {
        if self.members.is_empty() || self.members.len() > Configuration::MEMBERS_MAX {
            let problem = format!("there are {}", self.members.len());
            let mend = format!("name 1 to {} [[members]]", Configuration::MEMBERS_MAX);
            return Err(FileError::new("members", problem, mend));
        }
        let mut ids = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for member in &self.members {
            let key = |field| format!("members {}: {field}", member.id);
            if member.id == 0 {
                return Err(FileError::new(key("id"), "ids count from 1", "choose another id"));
            }
            if !ids.insert(member.id) {
                return Err(FileError::new(key("id"), "is given twice", "renumber one of the two"));
            }
            self.check_island_known(key("island"), &member.island)?;
            if member.weight > Placement::WEIGHT_MAX {
                let problem = format!("is {}", member.weight);
                let mend = format!("give it 0 to {}", Placement::WEIGHT_MAX);
                return Err(FileError::new(key("weight"), problem, mend));
            }
            let Some(address) = &member.address else { continue };
            if address.len() > Self::ADDRESS_BYTES_MAX {
                let problem = format!("is longer than {} bytes", Self::ADDRESS_BYTES_MAX);
                return Err(FileError::new(key("address"), problem, "use a shorter name"));
            }
            if !addresses.insert(address) {
                let problem = format!("`{address}` is another member's address too");
                return Err(FileError::new(key("address"), problem, "give each its own"));
            }
        }
        Ok(())
    }

    fn check_keys(&self) -> Result<(), FileError> {
        let mut seen = BTreeMap::new();
        for member in &self.members {
            if let Some(other) = member.key.and_then(|key| seen.insert(key, member.id)) {
                let problem = format!("is member {other}'s key too");
                let mend = "draw another with `holm keygen`, each member has its own";
                return Err(FileError::new(format!("members {}: key", member.id), problem, mend));
            }
        }
        let without = self.members.iter().find(|member| member.key.is_none());
        if let (Some(with), Some(without)) = (seen.values().min(), without) {
            let key = format!("members {}: key", without.id);
            let problem = format!("is missing, but member {with} has one");
            let mend =
                "add key = \"holm-public-…\", as `holm keygen` prints it, or remove all keys";
            return Err(FileError::new(key, problem, mend));
        }
        Ok(())
    }

    fn check_links(&self) -> Result<(), FileError> {
        let mut seen = BTreeSet::new();
        for Link { from, to, .. } in &self.links {
            let key = |field| format!("links `{from}` to `{to}`{field}");
            self.check_island_known(key(": from"), from)?;
            self.check_island_known(key(": to"), to)?;
            if from == to {
                let problem = "a link joins two islands; on one island all may dial each other";
                return Err(FileError::new(key(""), problem, "remove it"));
            }
            if !seen.insert((from, to)) {
                return Err(FileError::new(key(""), "is given twice", "remove one of the two"));
            }
        }
        Ok(())
    }

    fn check_island_known(&self, key: String, name: &str) -> Result<(), FileError> {
        if self.islands.iter().any(|island| island.name == name) {
            return Ok(());
        }
        let problem = format!("there is no island `{name}`");
        let mend = format!("add an [[islands]] entry with name = \"{name}\", or correct it");
        Err(FileError::new(key, problem, mend))
    }

    fn lets_dial(&self, from: &str, to: &str) -> bool {
        self.links
            .iter()
            .find(|link| link.from == from && link.to == to)
            .is_none_or(|link| link.dial)
    }
}

/// `host:port`, where a text without a port gets `port`. An IPv6 address stands in brackets.
///
/// # Errors
/// What is wrong with the text and how to write it.
pub fn with_port(text: &str, port: u16) -> Result<String, String> {
    let (host, written) = match text.rsplit_once(':') {
        Some((host, digits)) if !text.ends_with(']') => (host, Some(digits)),
        _ => (text, None),
    };
    let in_brackets = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    if host.contains([':', '[', ']']) && !in_brackets {
        return Err(format!("`{text}` is ambiguous; write an IPv6 address as [::1]:{port}"));
    }
    if host.is_empty() || host.contains(['/', ' ', '@', '?', '#']) {
        return Err(format!("`{text}` is no address; write host:port, such as 10.0.0.1:{port}"));
    }
    match written.map(str::parse::<u16>) {
        None => Ok(format!("{host}:{port}")),
        Some(Ok(written)) => Ok(format!("{host}:{written}")),
        Some(Err(_)) => Err(format!("`{text}` has no port from 0 to 65535 after its last colon")),
    }
}

fn relays() -> bool {
    true
}

fn weighs() -> u16 {
    1
}

fn weighs_one(weight: &u16) -> bool {
    *weight == weighs()
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let address = with_port(&text, MEMBER_PORT).map_err(serde::de::Error::custom)?;
    if address.ends_with(":0") {
        let problem = "port 0 can't be dialled; name the port the member listens on";
        return Err(serde::de::Error::custom(problem));
    }
    Ok(Some(address))
}

#[cfg(test)]
mod tests;
