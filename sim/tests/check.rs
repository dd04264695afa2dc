//! A state machine of an embedder's under simulated faults: one that is right passes, and each
//! mistake that can be made in `apply`, `snapshot` and `restore` is found and told.

use holm::StateMachine;
use holm_sim::{Random, Sweep, Workload, check, replay};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bids of an auction: the highest one wins.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Auction<M> {
    bids: BTreeMap<u64, u64>,
    mistake: M,
}

/// What a mistake does.
trait Mistake: Clone + Default + Serialize + for<'a> Deserialize<'a> + Send + 'static {
    fn apply(&mut self, bid: u64) -> u64 {
        bid
    }
    fn snapshot(auction: &Auction<Self>) -> Auction<Self> {
        auction.clone()
    }
}

impl<M: Mistake> StateMachine for Auction<M> {
    type Command = (u64, u64);
    type Reply = u64;
    type Snapshot = Self;

    fn apply(&mut self, (bidder, bid): (u64, u64)) -> u64 {
        let bid = self.mistake.apply(bid);
        let highest = self.bids.entry(bidder).or_default();
        *highest = bid.max(*highest);
        *highest
    }

    fn snapshot(&self) -> Self {
        M::snapshot(self)
    }

    fn restore(snapshot: Self) -> Self {
        snapshot
    }
}

fn workload<M: Mistake>() -> Workload<Auction<M>> {
    Workload::new(|random: &mut Random| (random.below(5), random.below(1_000)))
}

fn failing<M: Mistake>() -> String {
    let failed = check(Auction::<M>::default(), workload(), Sweep::seeds(0..20).jobs(2));
    failed.expect_err("the mistake is found").to_string()
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct None;
impl Mistake for None {}

#[test]
fn a_state_machine_that_is_right_passes_under_every_kind_of_fault() {
    let checked = check(Auction::<None>::default(), workload(), Sweep::seeds(0..40).jobs(2));
    let checked = checked.unwrap();
    assert_eq!(checked.seeds, 40);
    assert!(checked.entries > 4_000 && checked.elections > 100 && checked.installed > 10);
    assert!(checked.coverage.faults() > 1_000, "{checked}");
}

#[test]
fn an_apply_that_reads_a_clock_is_found() {
    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Clock;
    impl Mistake for Clock {
        fn apply(&mut self, bid: u64) -> u64 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later");
            bid + u64::from(now.subsec_nanos())
        }
    }
    let said = failing::<Clock>();
    assert!(said.contains("fails: deterministic: "), "{said}");
    assert!(said.contains("no clock, no randomness, no hash order"), "{said}");
}

#[test]
fn a_clock_that_the_members_of_a_run_see_alike_is_found_by_running_it_again() {
    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Hour;
    impl Mistake for Hour {
        fn apply(&mut self, bid: u64) -> u64 {
            bid + HOUR.get()
        }
    }
    thread_local! {
        static HOUR: Cell<u64> = const { Cell::new(0) };
    }
    // Seeds have threads of their own; the last look is on this one, an hour later.
    HOUR.set(1);
    let failed = check(Auction::<Hour>::default(), workload(), Sweep::seeds(3..4));
    let said = failed.expect_err("the last look differs").to_string();
    assert!(said.contains("the first seed was run again and came to something else"), "{said}");
}

#[test]
fn a_snapshot_that_forgets_something_is_found() {
    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Forgets {
        #[serde(skip)]
        applied: u64,
    }
    impl Mistake for Forgets {
        fn apply(&mut self, bid: u64) -> u64 {
            self.applied += 1;
            bid + self.applied
        }
    }
    let said = failing::<Forgets>();
    assert!(said.contains("fails: deterministic: "), "{said}");
}

#[test]
fn a_snapshot_in_hash_order_is_found() {
    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Hashed(HashMap<u64, u64>);
    impl Mistake for Hashed {
        fn apply(&mut self, bid: u64) -> u64 {
            self.0.insert(bid, bid);
            bid
        }
    }
    let said = failing::<Hashed>();
    assert!(said.contains("no hash order"), "{said}");
}

#[test]
fn a_panic_and_a_broken_invariant_are_told_with_what_they_say_and_can_be_replayed() {
    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Panics;
    impl Mistake for Panics {
        fn apply(&mut self, bid: u64) -> u64 {
            assert!(bid < 900, "too much: {bid}");
            bid
        }
    }
    let said = failing::<Panics>();
    assert!(said.contains("own assertions: too much: 9"), "{said}");

    let poor = || {
        workload().with_invariant(|auction: &Auction<None>| {
            let rich = auction.bids.values().find(|bid| **bid > 950);
            rich.map_or(Ok(()), |bid| Err(format!("nobody has {bid}")))
        })
    };
    let failed = check(Auction::<None>::default(), poor(), Sweep::seeds(0..20));
    let failed = failed.expect_err("somebody bids as much");
    assert_eq!(failed.violation.checker, "invariant");
    assert!(failed.violation.says.starts_with("nobody has 9"), "{failed}");
    let operations = failed.schedule.lines().filter(|line| line.contains("client=")).count();
    assert!(operations <= 3, "it is shrunk: {failed}");
    let again = replay(Auction::<None>::default(), poor(), &failed.schedule);
    assert_eq!(again.expect_err("it fails again").violation, failed.violation);
    assert!(replay(Auction::<None>::default(), workload(), &failed.schedule).is_ok());
    let unreadable = replay(Auction::<None>::default(), poor(), "holm-schedule 2\nset x 1\n");
    assert!(unreadable.expect_err("no setting").to_string().contains("line 2: `x` is no setting"));
}
