//! Partial partitions, where some links are cut and no member is cut off from all: four scenarios
//! (`partitions/scenarios.rs`), each without relaying and with it, over many seeds. Asserted: who
//! recovers, and within how many ticks; `cargo xtask partitions` prints them as a table, next to
//! another core.
//!
//! Messages take no time here, and disks neither; a relayed message takes a tick for each relay
//! (`partitions/ways.rs`). What is counted is the waiting that the protocol itself imposes, from
//! the cut to the first commit of a command that was proposed after it.

#[path = "partitions/cluster.rs"]
mod cluster;
#[path = "partitions/holm.rs"]
mod holm;
#[path = "partitions/scenarios.rs"]
mod scenarios;
#[path = "partitions/ways.rs"]
mod ways;

use cluster::ELECTION_TICKS;
use holm::Holm;
use holm_raft_core::Switch;
use scenarios::{BRIDGE, CHAINED, CONSTRAINED_ELECTION, QUORUM_LOSS_STAR, SCENARIOS};
use scenarios::{Scenario, spread};
use ways::Ways;

type Cluster = cluster::Cluster<Holm>;

const SEEDS: u64 = 50;
/// As good as forever: more than 1,000 election time-outs.
const LONG_TICKS: u64 = 20_000;
/// The transport's bound on finding out that a link has fallen silent, 2 seconds.
const SILENT_TICKS: u64 = 200;
/// Who hears nobody waits for at most two election time-outs before it asks for votes, and as long
/// again if two stood at once; each vote takes a relay's tick there and one back.
const ELECTION_MAX: u64 = 4 * ELECTION_TICKS + 8;

fn happens(scenario: Scenario, seed: u64) -> Cluster {
    scenario.happens(seed, |node| Holm::new(node, scenario.members, seed, Switch::On))
}

/// Asserts that this recovers within `most` ticks whatever the seed, and prints the ticks it took.
fn recovers(name: &str, most: u64, scenario: impl Fn(u64) -> Cluster) -> Vec<Cluster> {
    let mut clusters = Vec::new();
    let mut ticks = Vec::new();
    for seed in 0..SEEDS {
        let mut cluster = scenario(seed);
        let taken = cluster.ticks_to_commit(most);
        assert!(taken.is_some(), "{name}, seed {seed}: {most} ticks{}", cluster.told());
        ticks.extend(taken);
        clusters.push(cluster);
    }
    println!("{name}: ticks to the next commit: {}", spread(ticks));
    clusters
}

/// The same with relaying, which begins so many ticks after the cut.
fn recovers_by_relaying(scenario: Scenario, after: u64, most: u64) -> Vec<Cluster> {
    let name = format!("{}, relayed after {after} ticks", scenario.name);
    recovers(&name, most, |seed| {
        let mut cluster = happens(scenario, seed);
        cluster.ways.relay_after(after);
        cluster
    })
}

#[test]
fn quorum_loss_star_recovers_through_its_centre() {
    let star = |seed| happens(QUORUM_LOSS_STAR, seed);
    for cluster in recovers("quorum-loss star", 4 * ELECTION_TICKS, star) {
        assert_eq!(cluster.leader(), Some(1), "nobody else reaches a majority");
    }
}

#[test]
fn chained_members_keep_their_leader() {
    undisturbed(recovers("chained", 1, |seed| happens(CHAINED, seed)));
}

/// What the test above is about: without pre-votes and check-quorum, 2 ousts a leader that has its
/// majority, and there is no end to it until 1, which all hear, happens to campaign first.
#[test]
fn chained_members_without_pre_votes_oust_their_leader() {
    for seed in 0..SEEDS {
        let mut cluster = CHAINED.happens(seed, |node| Holm::new(node, 3, seed, Switch::Off));
        let term = cluster.latest_term();
        cluster.run(4 * ELECTION_TICKS);
        assert!(cluster.latest_term() > term, "seed {seed}");
    }
}

#[test]
fn bridged_halves_keep_their_leader() {
    undisturbed(recovers("bridge", 1, |seed| happens(BRIDGE, seed)));
}

/// The same halves, where the bridge led: it still reaches everybody.
#[test]
fn a_bridge_that_leads_goes_on_leading() {
    let leads = Scenario { leader: 3, ..BRIDGE };
    undisturbed(recovers("bridge that leads", 1, |seed| happens(leads, seed)));
}

/// Whoever hears nobody asks again and again, and that moves no term and costs no commit.
fn undisturbed(clusters: Vec<Cluster>) {
    for mut cluster in clusters {
        let (leader, term) = (cluster.leader(), cluster.latest_term());
        for _ in 0..10 {
            cluster.run(ELECTION_TICKS);
            assert_eq!(cluster.ticks_to_commit(1), Some(1), "each tick commits");
        }
        assert_eq!((cluster.leader(), cluster.latest_term()), (leader, term));
    }
}

/// This records what it is without relaying.
#[test]
fn constrained_election_is_not_solved_by_votes() {
    for seed in 0..5 {
        let mut cluster = happens(CONSTRAINED_ELECTION, seed);
        let ticks = cluster.ticks_to_commit(LONG_TICKS);
        assert_eq!(ticks, None, "seed {seed}: if votes solve this, relaying has nothing to add");
        assert_eq!(cluster.leader(), None, "and nobody believes to lead");

        cluster.ways.keep(|a, b| a == 1 && b != 3 || (a, b) == (2, 4));
        let mended = cluster.ticks_to_commit(10 * ELECTION_TICKS);
        assert!(mended.is_some(), "with one link more 2 or 4 has a majority, and is up to date");
        println!(
            "constrained election: no commit in {LONG_TICKS} ticks; one link mended: {} ticks",
            mended.unwrap_or_default(),
        );
    }
}

#[test]
fn constrained_election_recovers_by_relaying() {
    for cluster in recovers_by_relaying(CONSTRAINED_ELECTION, 0, ELECTION_MAX) {
        let leader = cluster.leader();
        assert!(matches!(leader, Some(2 | 4 | 5)), "whose log is the latest: not {leader:?}");
    }
}

/// The old leader goes on: 2, 4 and 5 are a relay away, and a command is there and back again in
/// two ticks after that of its proposal.
#[test]
fn relaying_keeps_the_leader_of_a_quorum_loss_star() {
    for mut cluster in recovers_by_relaying(QUORUM_LOSS_STAR, 0, 3) {
        cluster.run(10 * ELECTION_TICKS);
        assert_eq!(cluster.leader(), Some(3), "it hears from all, and all from it");
    }
}

#[test]
fn relaying_leaves_chained_members_and_bridged_halves_their_leader() {
    undisturbed(recovers_by_relaying(CHAINED, 0, 1));
    undisturbed(recovers_by_relaying(BRIDGE, 0, 1));
}

/// Whom the cut has cut off is behind, and catches up over the relay.
#[test]
fn relaying_brings_everybody_to_the_same_log() {
    for scenario in SCENARIOS {
        for mut cluster in recovers_by_relaying(scenario, 0, ELECTION_MAX) {
            cluster.run(10 * ELECTION_TICKS);
            let cut_off = scenario.cut_off();
            let leader = cluster.leader().expect("it recovered");
            for member in (1..=scenario.members).filter(|member| Some(*member) != cut_off) {
                // A command in each tick, and one relay at most between two members.
                let trails = cluster.last(leader) - cluster.last(member);
                assert!(trails <= 1, "{}: {member} trails by {trails}", scenario.name);
            }
        }
    }
}

/// A link that has fallen silent is noticed after a while only. Meanwhile all is as without
/// relaying; afterwards all four recover, and whoever leads by then is ousted by nobody.
#[test]
fn relaying_that_begins_late_helps_as_well() {
    for scenario in SCENARIOS {
        let most = match scenario.name {
            "constrained election" => SILENT_TICKS + ELECTION_MAX,
            _ => 4 * ELECTION_TICKS,
        };
        for mut cluster in recovers_by_relaying(scenario, SILENT_TICKS, most) {
            let (leader, term) = (cluster.leader(), cluster.latest_term());
            cluster.run(2 * SILENT_TICKS);
            assert_eq!((cluster.leader(), cluster.latest_term()), (leader, term));
        }
    }
}

#[test]
fn a_relayed_message_takes_a_tick_for_each_relay() {
    let mut ways = Ways::new(4);
    ways.keep(|a, b| a + 1 == b);
    ways.send(1, 4, "lost: nobody relays");
    ways.relay_after(1);
    ways.send(1, 4, "lost: nobody relays yet");
    ways.tick();
    for (to, message) in [(4, "two relays"), (3, "one relay"), (2, "a link")] {
        ways.send(1, to, message);
    }
    for expected in [(2, "a link"), (3, "one relay"), (4, "two relays")] {
        assert_eq!(ways.arrived(), Some(expected));
        assert_eq!(ways.arrived(), None);
        ways.tick();
    }
    ways.send(1, 3, "lost: the way is cut");
    ways.keep(|a, b| (a, b) == (1, 2));
    ways.tick();
    assert_eq!(ways.arrived(), None);
}
