//! Tests of the replicated tickets by themselves: each consumed once, forgotten by log time,
//! bounded.

use super::*;
use proptest::prelude::*;

const PURPOSE: &[u8] = b"login";

fn name(number: u64) -> Name {
    let mut name = [0; 32];
    name[..8].copy_from_slice(&number.to_le_bytes());
    Name(name)
}

fn issue_for(number: u64, ttl: u64, void_after: u64) -> Command {
    let (purpose, payload) = (PURPOSE.to_vec(), vec![9; 3]);
    let remembered = 0;
    Command::Issue { name: name(number), purpose, payload, ttl, remembered, void_after }
}

fn issue(number: u64) -> Command {
    issue_for(number, 100, 100)
}

fn consume(number: u64, consumer: u8) -> Command {
    Command::Consume { name: name(number), purpose: PURPOSE.to_vec(), consumer: vec![consumer] }
}

fn consumed() -> Reply {
    Reply::Consumed { payload: vec![9; 3] }
}

fn unknown() -> Reply {
    Reply::Refused(Why::Unknown)
}

fn expired() -> Reply {
    Reply::Refused(Why::Expired)
}

fn used() -> Reply {
    Reply::Refused(Why::Used)
}

#[test]
fn a_ticket_that_is_spent_is_used_for_its_consumer_as_well() {
    let mut tickets = Tickets::default();
    let spend = |consumer: u8| Command::Spend {
        name: name(1),
        purpose: PURPOSE.to_vec(),
        consumer: vec![consumer],
    };
    tickets.apply(issue(1), LogTime(0));
    assert_eq!(tickets.apply(spend(1), LogTime(0)), unknown(), "nobody has consumed it");
    assert_eq!(tickets.apply(consume(1, 1), LogTime(1)), consumed());
    assert_eq!(tickets.apply(spend(2), LogTime(2)), unknown(), "somebody else has");
    assert_eq!(tickets.apply(consume(1, 1), LogTime(3)), consumed());
    assert_eq!(tickets.apply(spend(1), LogTime(4)), Reply::Spent);
    assert_eq!(tickets.apply(spend(1), LogTime(5)), Reply::Spent, "a retry");
    assert_eq!(tickets.apply(consume(1, 1), LogTime(6)), used());
}

#[test]
fn a_ticket_that_is_remembered_tells_that_it_has_expired() {
    let mut tickets = Tickets::default();
    let Command::Issue { name, purpose, payload, ttl, void_after, .. } = issue(1) else {
        unreachable!("as it was made")
    };
    let issue = Command::Issue { name, purpose, payload, ttl, remembered: 50, void_after };
    tickets.apply(issue, LogTime(0));
    assert_eq!(tickets.open(PURPOSE, LogTime(99)), 1);
    assert_eq!(tickets.open(PURPOSE, LogTime(100)), 0);
    assert_eq!(tickets.apply(consume(1, 1), LogTime(100)), expired());
    assert_eq!(tickets.apply(consume(1, 1), LogTime(149)), expired());
    assert_eq!(tickets.apply(consume(1, 1), LogTime(150)), unknown());
}

#[test]
fn a_ticket_is_consumed_once_and_its_consumer_is_answered_alike() {
    let mut tickets = Tickets::default();
    assert_eq!(tickets.apply(issue(1), LogTime(0)), Reply::Issued);
    assert_eq!(tickets.apply(issue(1), LogTime(1)), Reply::Issued, "a retry");
    assert_eq!(tickets.count(), 1);
    assert_eq!(tickets.apply(consume(2, 1), LogTime(2)), unknown(), "there is none");
    assert_eq!(tickets.apply(consume(1, 1), LogTime(3)), consumed());
    assert_eq!(tickets.apply(consume(1, 2), LogTime(4)), used());
    assert_eq!(tickets.apply(consume(1, 1), LogTime(5)), consumed(), "a retry");
    assert_eq!(tickets.apply(issue(1), LogTime(6)), Reply::Issued, "a late duplicate");
    assert_eq!(tickets.apply(consume(1, 2), LogTime(7)), used());
}

#[test]
fn a_ticket_is_for_its_purpose_alone() {
    let mut tickets = Tickets::default();
    tickets.apply(issue(1), LogTime(0));
    let purpose = b"other".to_vec();
    let other = Command::Consume { name: name(1), purpose: purpose.clone(), consumer: vec![1] };
    assert_eq!(tickets.apply(other, LogTime(1)), unknown());
    let other = Command::Withdraw { name: name(1), purpose };
    assert_eq!(tickets.apply(other, LogTime(1)), unknown());
    assert_eq!(tickets.apply(consume(1, 1), LogTime(2)), consumed());
}

#[test]
fn an_expired_ticket_is_refused_and_what_was_consumed_is_remembered_for_retries() {
    let mut tickets = Tickets::default();
    for number in [1, 2] {
        tickets.apply(issue(number), LogTime(0));
    }
    assert_eq!(tickets.apply(consume(1, 1), LogTime(99)), consumed());
    assert_eq!(tickets.apply(consume(2, 1), LogTime(100)), unknown());
    assert_eq!(tickets.count(), 1, "the other one is forgotten");
    assert_eq!(tickets.apply(consume(1, 1), LogTime(98 + RETRY_MS)), consumed());
    assert_eq!(tickets.apply(consume(1, 1), LogTime(99 + RETRY_MS)), unknown());
    assert_eq!(tickets, Tickets::default());
}

#[test]
fn what_was_forgotten_is_not_made_again_by_what_arrives_late() {
    let mut tickets = Tickets::default();
    // The proposer's idea of the time was ahead: the ticket is known until its making is void.
    tickets.apply(issue_for(1, 100, 500), LogTime(0));
    assert_eq!(tickets.apply(consume(1, 1), LogTime(100)), expired());
    assert_eq!(tickets.apply(issue_for(1, 100, 500), LogTime(499)), Reply::Issued, "the old one");
    assert_eq!(tickets.apply(consume(1, 1), LogTime(499)), expired());
    let late = tickets.apply(issue_for(1, 100, 500), LogTime(500));
    assert_eq!(late, Reply::Void { now: 500 });
}

#[test]
fn a_ticket_that_was_withdrawn_is_refused_and_stays_so() {
    let mut tickets = Tickets::default();
    tickets.apply(issue(1), LogTime(0));
    let withdraw = || Command::Withdraw { name: name(1), purpose: PURPOSE.to_vec() };
    assert_eq!(tickets.apply(withdraw(), LogTime(1)), Reply::Withdrawn);
    assert_eq!(tickets.apply(withdraw(), LogTime(2)), Reply::Withdrawn);
    assert_eq!(tickets.apply(issue(1), LogTime(3)), Reply::Issued, "a late duplicate");
    assert_eq!(tickets.apply(consume(1, 1), LogTime(4)), expired());
}

#[test]
fn tickets_are_bounded_in_number_and_in_bytes() {
    let mut tickets = Tickets::default();
    for number in 0..TICKETS_MAX as u64 {
        assert_eq!(tickets.apply(issue(number), LogTime(0)), Reply::Issued);
    }
    assert_eq!(tickets.apply(issue(u64::MAX), LogTime(0)), Reply::Full);
    assert_eq!(tickets.apply(issue_for(u64::MAX, 1, 101), LogTime(100)), Reply::Issued);
    let mut tickets = Tickets::default();
    let large = |number| {
        let (purpose, payload) = (PURPOSE.to_vec(), vec![0; 1 << 20]);
        let (ttl, remembered, void_after) = (100, 0, 100);
        Command::Issue { name: name(number), purpose, payload, ttl, remembered, void_after }
    };
    let issued =
        (0..).take_while(|number| tickets.apply(large(*number), LogTime(0)) == Reply::Issued);
    assert_eq!(issued.count(), 31, "each weighs more than its payload");
}

proptest! {
    /// Whatever comes in whatever order, again and late: no ticket has two consumers, and a table
    /// that was frozen and restored answers alike.
    #[test]
    fn no_ticket_has_two_consumers(
        steps in proptest::collection::vec(
            (0u64..4, 0u8..8, 0u64..60, any::<bool>()),
            1..300,
        )
    ) {
        let mut tickets = Tickets::default();
        let mut consumers = BTreeMap::new();
        let mut now = 0;
        for (number, what, later, restored) in steps {
            now += later;
            if restored {
                let bytes = postcard::to_stdvec(&tickets).unwrap();
                let thawed: Tickets = postcard::from_bytes(&bytes).unwrap();
                prop_assert_eq!(&thawed, &tickets);
                tickets = thawed;
            }
            let command = match what {
                0 | 1 => issue_for(number, 100, 150),
                2 => Command::Withdraw { name: name(number), purpose: PURPOSE.to_vec() },
                consumer => consume(number, consumer),
            };
            if let Reply::Consumed { .. } = tickets.apply(command, LogTime(now)) {
                let first = consumers.entry(number).or_insert(what);
                prop_assert_eq!(*first, what, "ticket {} at {}", number, now);
            }
        }
    }
}
