//! The lab's networks: [`Network`], a namespace for each member, one for each island, and the sea
//! between the islands, joined by veth pairs. Everything is routed by host, so any IPv4 addresses
//! will do.
//!
//! ```text
//! member 1 ─┐
//! member 2 ─┴ island port ─┐
//! member 3 ── island north ┼ the sea: who may dial whom, and what is cut
//! member 5 ── island south ┘
//! ```
//! Who may not dial is kept from it in the sea: by nftables, which knows new connections, where
//! `nft` is installed; else by rules of routing, which know an island's interface, and the address
//! and port at which a member of another island listens. Both refuse at once. What is cut is
//! dropped without a word, as when a cable is pulled.

use super::map::{Cut, Map, Member};
use crate::output;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

/// The rules of routing in the sea, in the order in which they count, before that of the kernel
/// which knows the routes (32766). Those that cut have this number or the next, in turn.
const CUT_RULES: u32 = 100;
const CLOSED_RULES: u32 = 200;
/// What nft calls the rules.
const TABLE: &str = "inet holm_lab";

/// What keeps a connection from being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fence {
    Nft,
    Routing,
}

/// How good the ways between islands are, each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quality {
    pub(super) delay_ms: u32,
    pub(super) loss_percent: u8,
}

pub(super) struct Network {
    spaces: String,
    fence: Fence,
    cut_rules: CutRules,
}

/// Those in force in the sea.
#[derive(Clone, Copy)]
struct CutRules {
    preference: u32,
    count: usize,
}

impl Network {
    /// Nothing is made yet. The names of all namespaces begin so.
    pub(super) fn new(spaces: &str) -> Self {
        let fence = if output("nft", &["--version"]).is_ok() { Fence::Nft } else { Fence::Routing };
        Self {
            spaces: spaces.into(),
            fence,
            cut_rules: CutRules { preference: CUT_RULES, count: 0 },
        }
    }

    pub(super) fn fence(&self) -> Fence {
        self.fence
    }

    /// Makes the sea, the first of the namespaces.
    pub(super) fn open(&self) -> Result<(), String> {
        self.make(&self.sea(), SEA)
    }

    /// Whether the kernel can make ways slow and bad.
    pub(super) fn has_netem(&self) -> bool {
        let probe = format!("-n {} qdisc add dev lo root netem delay 1ms", self.sea());
        let undo = format!("-n {} qdisc delete dev lo root", self.sea());
        call("tc", &probe).and_then(|()| call("tc", &undo)).is_ok()
    }

    /// Makes everything that the map has, with ways of this quality between the islands.
    pub(super) fn build(&self, map: &Map, quality: Quality) -> Result<(), String> {
        let sea = self.sea();
        for number in 0..map.islands.len() {
            let (island, gateway) = (self.island(number), gateway(number));
            self.make(&island, gateway)?;
            join((&island, SEA), (&sea, &shore(number), gateway))?;
            for member in map.on(number) {
                let (space, address) = (self.member(member.id), member.lives_at());
                self.make(&space, address)?;
                join((&space, gateway), (&island, &berth(member.id), address))?;
                let via = format!("via {gateway} dev {}", shore(number));
                ip(&sea, &format!("route add {address} {via}"))?;
            }
            if quality != Quality::default() {
                let Quality { delay_ms, loss_percent } = quality;
                let netem = format!("root netem delay {delay_ms}ms loss {loss_percent}%");
                call("tc", &format!("-n {island} qdisc add dev {UPLINK} {netem}"))?;
            }
        }
        self.close(map)
    }

    /// Keeps members from dialling those whom they may not.
    fn close(&self, map: &Map) -> Result<(), String> {
        let sea = self.sea();
        let nft = |words: &str| call("ip", &format!("netns exec {sea} nft {words}"));
        if self.fence == Fence::Nft {
            nft(&format!("add table {TABLE}"))?;
            let hook = "{ type filter hook forward priority 0 ; }";
            nft(&format!("add chain {TABLE} forward {hook}"))?;
        }
        for (from, to) in map.pairs().filter(|(from, to)| !map.lets_dial(*from, *to)) {
            let (dialler, dialled) = (shore(from), shore(to));
            if self.fence == Fence::Nft {
                let new = "meta l4proto tcp ct state new reject";
                nft(&format!(
                    "add rule {TABLE} forward iifname {dialler} oifname {dialled} {new}"
                ))?;
                continue;
            }
            // Whoever only dials listens nowhere.
            for member in map.on(to) {
                let Some(listens) = member.listens()? else { continue };
                let what = format!("to {} ipproto tcp dport {}", listens.ip(), listens.port());
                let rule = format!("pref {CLOSED_RULES} iif {dialler} {what} prohibit");
                ip(&sea, &format!("rule add {rule}"))?;
            }
        }
        Ok(())
    }

    /// Lets nothing through between these islands, and everything else that may. What was whole and
    /// is cut goes before what was cut becomes whole.
    pub(super) fn cut(&mut self, map: &Map, cut: &Cut) -> Result<(), String> {
        let (old, new) = (self.cut_rules, 2 * CUT_RULES + 1 - self.cut_rules.preference);
        let islands = cut.iter().flat_map(|(from, to)| map.on(*to).map(move |to| (from, to)));
        let blackhole = |(from, to): (&usize, &Member)| {
            format!("rule add pref {new} iif {} to {} blackhole\n", shore(*from), to.lives_at())
        };
        let mut batch: Vec<String> = islands.map(blackhole).collect();
        self.cut_rules = CutRules { preference: new, count: batch.len() };
        batch.extend((0..old.count).map(|_| format!("rule delete pref {}\n", old.preference)));
        let mut command = Command::new("ip");
        command.args(["-n", &self.sea(), "-batch", "-"]).stdin(Stdio::piped());
        let mut ip = command.spawn().map_err(|error| format!("ip: {error}"))?;
        let mut input = ip.stdin.take().ok_or("ip has no input")?;
        input.write_all(batch.concat().as_bytes()).map_err(|error| format!("ip: {error}"))?;
        drop(input);
        let status = ip.wait().map_err(|error| format!("ip: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
    }

    /// A command that cuts the first island off from the second, in one direction, for people.
    pub(super) fn how_to_cut(&self, map: &Map) -> String {
        let Some((from, to, member)) = map.pairs().find_map(|(from, to)| {
            let member = map.on(to).next()?;
            Some((from, to, member))
        }) else {
            return "there is one island only".into();
        };
        let (sea, shore, address) = (self.sea(), shore(from), member.lives_at());
        let (from, to) = (&map.islands[from].name, &map.islands[to].name);
        format!(
            "ip -n {sea} rule add pref {CUT_RULES} iif {shore} to {address} blackhole   \
             # nothing from {from} to member {} on {to}",
            member.id
        )
    }

    /// The namespace of a member.
    pub(super) fn member(&self, id: u64) -> String {
        format!("{}m{id}", self.spaces)
    }

    fn island(&self, number: usize) -> String {
        format!("{}i{number}", self.spaces)
    }

    fn sea(&self) -> String {
        format!("{}sea", self.spaces)
    }

    /// A namespace with this address, that passes on what is for others.
    fn make(&self, space: &str, address: Ipv4Addr) -> Result<(), String> {
        call("ip", &format!("netns add {space}"))?;
        ip(space, "link set lo up")?;
        ip(space, &format!("address add {address} dev lo"))?;
        let forward =
            ["netns", "exec", space, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"];
        output("ip", &forward).map(|_| ())
    }
}

/// The sea's address, and an island's: of those that RFC 2544 sets apart for measuring.
const SEA: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 0);

fn gateway(island: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(SEA.to_bits() + 1 + u32::try_from(island).unwrap_or(0))
}

/// The interface towards the sea, in an island and in a member.
const UPLINK: &str = "uplink";

/// The interface of an island in the sea.
fn shore(island: usize) -> String {
    format!("island{island}")
}

/// The interface of a member in its island.
fn berth(member: u64) -> String {
    format!("member{member}")
}

/// Joins a namespace to one that is nearer to the sea, which has this address, and which calls it
/// so; it is where the last address is.
fn join(
    (space, gateway): (&str, Ipv4Addr),
    (nearer, interface, address): (&str, &str, Ipv4Addr),
) -> Result<(), String> {
    ip(space, &format!("link add {UPLINK} type veth peer name {interface} netns {nearer}"))?;
    ip(space, &format!("link set {UPLINK} up"))?;
    ip(nearer, &format!("link set {interface} up"))?;
    ip(space, &format!("route add {gateway} dev {UPLINK}"))?;
    ip(space, &format!("route add default via {gateway} dev {UPLINK}"))?;
    ip(nearer, &format!("route add {address} dev {interface}"))
}

fn ip(space: &str, words: &str) -> Result<(), String> {
    call("ip", &format!("-n {space} {words}"))
}

fn call(program: &str, words: &str) -> Result<(), String> {
    output(program, &words.split(' ').collect::<Vec<_>>()).map(|_| ())
}
