//! What the lab has to know of a topology file, and what follows from it: who reaches whom how,
//! with all ways there and with some cut. `holm init` has checked the file before. It is read here
//! anew, since xtask uses `holm` from outside only, as people do: what is expected of a cluster is
//! not computed by the code that it runs.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

/// The port between members where an address names none.
const MEMBER_PORT: u16 = 7600;

/// Islands, members and links, as they are written.
#[derive(Deserialize)]
pub(super) struct Map {
    pub(super) islands: Vec<Island>,
    pub(super) members: Vec<Member>,
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Deserialize)]
pub(super) struct Island {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct Member {
    pub(super) id: u64,
    pub(super) island: String,
    address: Option<String>,
    #[serde(default = "relays")]
    relay: bool,
}

#[derive(Deserialize)]
struct Link {
    from: String,
    to: String,
    dial: bool,
}

/// Pairs of islands, in both directions, between which nothing gets through.
pub(super) type Cut = BTreeSet<(usize, usize)>;

/// How a member reaches another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By a link of their own.
    Link,
    /// Through one of these.
    Via(BTreeSet<u64>),
    /// Not at all.
    None,
}

impl Way {
    /// Whether this is what a member says of the other, in the words of its status.
    pub(super) fn is(&self, reached: &str) -> bool {
        match self {
            Self::Link => reached == "direct" || reached == "inbound",
            Self::Via(relays) => reached
                .strip_prefix("via ")
                .and_then(|relay| relay.parse().ok())
                .is_some_and(|relay| relays.contains(&relay)),
            Self::None => reached == "not connected",
        }
    }
}

impl Map {
    /// The file's.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let map: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut lives = BTreeSet::new();
        for member in &map.members {
            member.listens()?;
            let (id, address) = (member.id, member.lives_at());
            if address.is_loopback() || !lives.insert(address) {
                let need = "an address of its own that is not loopback";
                return Err(format!("members {id}: address: the lab needs {need}, not {address}"));
            }
        }
        Ok(map)
    }

    /// The number of a member's island, from 0.
    pub(super) fn island(&self, member: &Member) -> usize {
        let place = self.islands.iter().position(|island| island.name == member.island);
        place.expect("holm init knows each island")
    }

    /// The members of an island.
    pub(super) fn on(&self, island: usize) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| self.island(member) == island)
    }

    /// Whether members of one island may dial those of another.
    pub(super) fn lets_dial(&self, from: usize, to: usize) -> bool {
        let (from, to) = (&self.islands[from].name, &self.islands[to].name);
        let link = self.links.iter().find(|link| link.from == *from && link.to == *to);
        link.is_none_or(|link| link.dial)
    }

    /// All pairs of two islands, in both directions.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let count = self.islands.len();
        (0..count)
            .flat_map(move |from| (0..count).map(move |to| (from, to)).filter(|(a, b)| a != b))
    }

    /// How each member reaches each other one.
    pub(super) fn ways(&self, cut: &Cut) -> BTreeMap<(u64, u64), Way> {
        let pairs =
            self.members.iter().flat_map(|from| self.members.iter().map(move |to| (from, to)));
        let pairs = pairs.filter(|(from, to)| from.id != to.id);
        pairs.map(|(from, to)| ((from.id, to.id), self.way(from, to, cut))).collect()
    }

    fn way(&self, from: &Member, to: &Member, cut: &Cut) -> Way {
        if self.linked(from, to, cut) {
            return Way::Link;
        }
        let hops = self.hops(to, cut);
        let Some(own) = hops.get(&from.id) else { return Way::None };
        let relays = self.members.iter().filter(|relay| {
            let nearer = hops.get(&relay.id).is_some_and(|hops| hops + 1 == *own);
            relay.relay && nearer && self.linked(from, relay, cut)
        });
        Way::Via(relays.map(|relay| relay.id).collect())
    }

    /// How many links lead from each member to this one, for those that any lead from.
    fn hops(&self, to: &Member, cut: &Cut) -> BTreeMap<u64, u64> {
        let mut found = BTreeMap::from([(to.id, 0)]);
        let mut last = vec![to];
        for hops in 1.. {
            let passes = |member: &&&Member| member.id == to.id || member.relay;
            let relays: Vec<&Member> = last.iter().filter(passes).copied().collect();
            let next = |member: &&Member| relays.iter().any(|to| self.linked(member, to, cut));
            let new = self.members.iter().filter(|member| !found.contains_key(&member.id));
            last = new.filter(next).collect();
            if last.is_empty() {
                break;
            }
            found.extend(last.iter().map(|member| (member.id, hops)));
        }
        found
    }

    fn linked(&self, one: &Member, other: &Member, cut: &Cut) -> bool {
        let (here, there) = (self.island(one), self.island(other));
        let dials = |from: usize, to: usize, target: &Member| {
            target.address.is_some() && (from == to || self.lets_dial(from, to))
        };
        one.id != other.id
            && !cut.contains(&(here, there))
            && (dials(here, there, other) || dials(there, here, one))
    }
}

impl Member {
    /// Where it accepts the others, if it does.
    pub(super) fn listens(&self) -> Result<Option<SocketAddrV4>, String> {
        let Some(address) = &self.address else { return Ok(None) };
        let wrong = || {
            let id = self.id;
            format!("members {id}: address: `{address}`: the lab needs an IPv4 address")
        };
        let bare = || address.parse().ok().map(|ip| SocketAddrV4::new(ip, MEMBER_PORT));
        address.parse().ok().or_else(bare).map(Some).ok_or_else(wrong)
    }

    /// Its address in the lab: the topology's, or, if it only dials, one that is drawn from its id.
    pub(super) fn lives_at(&self) -> Ipv4Addr {
        match self.listens() {
            Ok(Some(address)) => *address.ip(),
            _ => {
                let [low, high, ..] = self.id.to_le_bytes();
                Ipv4Addr::from_bits(DIALLERS.to_bits() + u32::from(u16::from_le_bytes([low, high])))
            }
        }
    }
}

/// Where addresses of members that only dial begin: RFC 2544 sets them apart for measuring.
const DIALLERS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

fn relays() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> Map {
        Map::parse(include_str!("lab.toml")).expect("the lab's own file")
    }

    /// What the map says of a pair, in words.
    fn way(map: &Map, cut: &[(usize, usize)], from: u64, to: u64) -> String {
        let cut = cut.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect();
        match &map.ways(&cut)[&(from, to)] {
            Way::Link => "link".into(),
            Way::Via(relays) => format!("via {relays:?}"),
            Way::None => "none".into(),
        }
    }

    const PORT: usize = 0;
    const NORTH: usize = 1;
    const SOUTH: usize = 2;

    #[test]
    fn one_dialling_side_makes_a_link_and_two_silent_ones_a_relay() {
        let map = map();
        assert_eq!(way(&map, &[], 1, 3), "link", "3 dials");
        assert_eq!(way(&map, &[], 5, 3), "link");
        assert_eq!(way(&map, &[], 4, 5), "via {1, 2, 3}", "neither can be dialled");
    }

    #[test]
    fn a_cut_leads_over_what_is_left() {
        let map = map();
        let cut = [(PORT, SOUTH)];
        assert_eq!(way(&map, &cut, 5, 1), "via {3}");
        assert_eq!(way(&map, &cut, 1, 5), "via {3}");
        assert_eq!(way(&map, &cut, 5, 4), "via {3}");
        let off = [(PORT, SOUTH), (NORTH, SOUTH)];
        assert_eq!(way(&map, &off, 5, 1), "none");
        assert_eq!(way(&map, &off, 4, 1), "link");
    }

    #[test]
    fn whoever_relays_for_nobody_is_no_way() {
        let mut map = map();
        map.members[2].relay = false;
        assert_eq!(way(&map, &[], 5, 4), "via {1, 2}");
        assert_eq!(way(&map, &[(PORT, SOUTH)], 5, 4), "none");
    }

    #[test]
    fn the_words_of_a_status_are_held_against_the_way() {
        let via = Way::Via(BTreeSet::from([2, 3]));
        assert!(via.is("via 3") && !via.is("via 4") && !via.is("direct") && !via.is("via"));
        assert!(Way::Link.is("direct") && Way::Link.is("inbound") && !Way::Link.is("via 2"));
        assert!(Way::None.is("not connected") && !Way::None.is("inbound"));
    }

    #[test]
    fn a_member_lives_at_its_own_address() {
        let lives: Vec<_> = map().members.iter().map(|each| each.lives_at().to_string()).collect();
        let given = ["10.77.1.1", "10.77.1.2", "10.77.2.3", "198.18.0.4", "198.18.0.5"];
        assert_eq!(lives, given);
    }

    #[test]
    fn addresses_that_the_lab_cannot_have_are_refused() {
        let own = "the lab needs an address of its own that is not loopback";
        for (address, expected) in [
            (
                "one.example:7600",
                "members 1: address: `one.example:7600`: the lab needs an IPv4 address".into(),
            ),
            ("127.0.0.1:7600", format!("members 1: address: {own}, not 127.0.0.1")),
            ("10.77.1.2:7700", format!("members 2: address: {own}, not 10.77.1.2")),
            ("198.18.0.4:7600", format!("members 4: address: {own}, not 198.18.0.4")),
        ] {
            let text = include_str!("lab.toml").replace("10.77.1.1", address);
            assert_eq!(Map::parse(&text).err(), Some(expected));
        }
    }
}
