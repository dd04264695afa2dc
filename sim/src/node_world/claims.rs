//! Claims in the simulated cluster: members claim keys, hold them, look at their claim before each
//! answer, renew it, have effects in its name, and let it go or lose it. A holder runs on its
//! member's machine, and is stopped and killed with it. Invariants: at no time two members would
//! answer for one key; an effect of an owner that is late is refused (the replicas compare tokens,
//! in `machine.rs`); and every claim ends.

use super::clients::{Client, expected};
use super::configurations;
use super::findings::{any_broken, broken, happened, now, times_took_effect};
use super::machine::{Change, Command, Register};
use super::member::Member;
use crate::core_world::random::Random;
use holm::rendezvous::{Claim, ClaimError, Fence};
use holm::{Error, Node, ProposeOptions};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const ONE: &str = "claims have one owner";
const LATE: &str = "late owners are refused";
const END: &str = "claims end";

/// Effects in a claim's name are on numbers that nobody else changes.
const EFFECTS: u64 = 1_000;
/// So many effects of one wish are told apart.
const EFFECTS_MAX: u64 = 1_000;

#[derive(Default)]
struct Known {
    keys: BTreeSet<u64>,
    /// Claims that were granted, until they are over.
    held: Vec<(u64, Claim<Register>)>,
    /// How many effects were answered, and how many more there may have been.
    applied: u64,
    uncertain: u64,
}

std::thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

fn with<T>(change: impl FnOnce(&mut Known) -> T) -> T {
    KNOWN.with_borrow_mut(change)
}

/// How many effects in a claim's name were answered, and how many more there may have been.
pub(super) fn effects() -> (u64, u64) {
    with(|known| (known.applied, known.uncertain))
}

/// Nobody holds anything any more: the run is over.
pub(super) fn forget() {
    with(|known| known.held.clear());
}

fn name(key: u64) -> Vec<u8> {
    format!("key {key}").into_bytes()
}

impl Client {
    /// Has a member claim a key for so many milliseconds, and hold it for so many microseconds.
    pub(super) async fn claim(
        &self,
        number: u64,
        (key, millis): (u64, u64),
        at: u64,
        lasting: u64,
    ) {
        let member = self.member(at);
        let Some(node) = member.running() else { return };
        with(|known| known.keys.insert(key));
        let op = self.begins("claim", key, millis, at);
        let holder = Holder {
            client: self.name(),
            member: member.node,
            node,
            key,
            millis,
            until: now() + lasting,
            number: number * EFFECTS_MAX,
            random: Random::new(self.draw(), 1),
        };
        // It ends with its machine.
        let ended = member.runs(holder.run()).await.is_ok();
        self.ends(op, u64::from(ended));
    }
}

/// Who claims and holds a key.
struct Holder {
    client: u64,
    member: u64,
    node: Node<Register>,
    key: u64,
    millis: u64,
    until: u64,
    /// The next command's.
    number: u64,
    random: Random,
}

impl Holder {
    async fn run(mut self) {
        let Some(claim) = self.takes().await else { return };
        happened("claims granted");
        with(|known| {
            known.held.retain(|(_, claim)| claim.still_mine());
            known.held.push((self.key, claim.clone()));
        });
        while self.goes_on() {
            self.pauses(500, 25_000).await;
            if !self.answers(&claim) {
                happened("owners that found their claim over");
                break;
            }
            match self.random.below(5) {
                0 => drop(self.effect(claim.fence()).await),
                1 | 2 => self.renews(&claim).await,
                _ => {}
            }
        }
        if self.random.one_in(2) {
            self.releases(claim).await;
        } else {
            let over = now() + self.millis * 1_000;
            while claim.still_mine() && now() < over && !any_broken() {
                self.pauses(1_000, 5_000).await;
            }
            // By now the log may or may not have ended it.
            self.effect(claim.fence()).await;
        }
    }

    fn goes_on(&self) -> bool {
        now() < self.until && !any_broken()
    }

    async fn pauses(&mut self, least: u64, most: u64) {
        sleep(Duration::from_micros(self.random.between(least, most))).await;
    }

    async fn takes(&mut self) -> Option<Claim<Register>> {
        while self.goes_on() {
            let time = Duration::from_millis(self.millis);
            match self.node.claim(name(self.key), time).await {
                Ok(claim) => return Some(claim),
                Err(ClaimError::Taken { .. }) => happened("claims refused"),
                Err(error) => self.expects(error),
            }
            self.pauses(1_000, 30_000).await;
        }
        None
    }

    fn expects(&self, error: ClaimError) {
        match error {
            ClaimError::Node(error) => expected(self.client, self.member, &error),
            other => broken("expected errors", format!("a claim is answered with {other}")),
        }
    }

    /// Answers in the claim's name, if it is still its own.
    fn answers(&self, claim: &Claim<Register>) -> bool {
        if !claim.still_mine() {
            return false;
        }
        happened("answers in a claim's name");
        let (key, token) = (self.key, claim.token());
        let other = with(|known| {
            let others = known.held.iter().filter(|(held, _)| *held == key).map(|(_, claim)| claim);
            let mut others = others.filter(|other| other.token() != token && other.still_mine());
            others.next().map(|other| (other.member(), other.token()))
        });
        // A clock that leaps ends claims of the others early, if its member leads.
        if let Some((member, others)) = other.filter(|_| times_took_effect("jump") == 0) {
            let says = format!(
                "member {} answers for key {key} by claim {token}, member {member} by {others}",
                self.member
            );
            broken(ONE, says);
        }
        true
    }

    async fn renews(&self, claim: &Claim<Register>) {
        match claim.renew().await {
            Ok(()) => happened("claims renewed"),
            Err(ClaimError::Lost) => {}
            Err(error) => self.expects(error),
        }
    }

    async fn releases(&mut self, claim: Claim<Register>) {
        let fence = claim.fence().clone();
        match claim.release().await {
            Ok(()) => {
                happened("claims released");
                if self.effect(&fence).await.is_some() {
                    let says = format!("claim {} has an effect after its release", fence.token);
                    broken(LATE, says);
                }
            }
            Err(error) => self.expects(error),
        }
    }

    /// Has an effect in a claim's name, if that lasts by then.
    async fn effect(&mut self, fence: &Fence) -> Option<u64> {
        self.number += 1;
        let (client, number, name) = (self.client, self.number, EFFECTS + self.key);
        let change = Change::Fenced(fence.token);
        let command = Command { client, number, name, change, ballast: Vec::new() };
        let key = self.random.one_in(2).then(|| format!("claim {client} {number}").into());
        let options = ProposeOptions { key, timeout: None };
        with(|known| known.uncertain += 1);
        let told = self.node.propose_fenced(fence.clone(), command, options).await;
        let unclear =
            matches!(told, Err(ClaimError::Node(Error::Unknown { .. } | Error::Stopped { .. })));
        if !unclear {
            with(|known| known.uncertain -= 1);
        }
        match told {
            Ok(applied) => {
                happened("effects in a claim's name");
                with(|known| known.applied += 1);
                return Some(applied.index.0);
            }
            Err(ClaimError::Lost) => happened("effects of late owners refused"),
            Err(error) => self.expects(error),
        }
        None
    }
}

/// How long a claim that nobody keeps up may last at most, before somebody else has the key.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Now that nobody holds anything on purpose.
pub(super) async fn conclude(members: &[Member]) {
    let newest = configurations::newest();
    let belongs = |member: &&Member| newest.member(member.node).is_some();
    let Some(node) = members.iter().filter(belongs).find_map(Member::running) else { return };
    for key in with(|known| known.keys.clone()) {
        let until = Instant::now() + ENDS_WITHIN;
        while !any_broken() {
            let told = node.claim(name(key), Duration::from_millis(100)).await;
            if let Ok(claim) = told {
                // If that is not heard it ends by itself.
                let _ = claim.release().await;
                break;
            }
            if Instant::now() > until {
                broken(END, format!("key {key} is nobody's, and can't be claimed: {told:?}"));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}
