//! The table of claims: who gets a key, until when, and that no two hold one at a time.

use super::*;
use proptest::prelude::*;

fn claim(key: &str, member: u64, holder: u64, millis: u64) -> Command {
    Command::Claim { key: key.into(), member, holder, millis }
}

fn renew(key: &str, token: u64, millis: u64) -> Command {
    Command::Renew { key: key.into(), token, millis }
}

fn release(key: &str, token: u64) -> Command {
    Command::Release { key: key.into(), token }
}

fn granted(token: u64) -> Reply {
    Reply::Granted { token }
}

#[test]
fn a_key_is_granted_to_the_first_and_to_another_only_when_that_is_over() {
    let mut claims = Claims::default();
    let mut at = |index, now, command| claims.apply(command, Index(index), LogTime(now));
    assert_eq!(at(5, 100, claim("k", 1, 11, 50)), granted(5));
    let taken = |millis| Reply::Taken { member: 1, token: 5, millis };
    assert_eq!(at(6, 120, claim("k", 2, 22, 50)), taken(30));
    assert_eq!(at(7, 120, claim("other", 2, 22, 50)), granted(7));
    // One member makes many claims, and each is a claim of its own.
    assert_eq!(at(8, 149, claim("k", 1, 12, 50)), taken(1));
    assert_eq!(at(9, 150, claim("k", 2, 22, 50)), granted(9));
    assert_eq!(at(10, 151, renew("k", 5, 50)), Reply::Gone);
    assert_eq!(at(11, 199, renew("k", 9, 50)), granted(9));
    assert_eq!(at(12, 248, claim("k", 1, 13, 50)), Reply::Taken { member: 2, token: 9, millis: 1 });
    assert_eq!(at(13, 248, release("k", 5)), Reply::Gone, "it is another's");
    assert_eq!(at(14, 248, renew("k", 9, 50)), granted(9));
    assert_eq!(at(15, 248, release("k", 9)), Reply::Gone);
    assert_eq!(at(16, 248, claim("k", 1, 13, 50)), granted(16));
}

#[test]
fn whoever_asks_again_gets_the_same_token() {
    let mut claims = Claims::default();
    for (index, now) in [(5, 100), (6, 130)] {
        let reply = claims.apply(claim("k", 1, 11, 50), Index(index), LogTime(now));
        assert_eq!(reply, granted(5));
    }
    assert!(claims.lets(b"k", 5, LogTime(179)), "counted from the second one");
    assert!(!claims.lets(b"k", 5, LogTime(180)));
    // Numbers that two members have drawn alike don't make them one.
    let other = claims.apply(claim("k", 2, 11, 50), Index(7), LogTime(131));
    assert!(matches!(other, Reply::Taken { member: 1, .. }), "{other:?}");
}

#[test]
fn a_renewal_for_a_shorter_time_takes_nothing_of_what_was_granted() {
    let mut claims = Claims::default();
    let mut at = |index, now, command| claims.apply(command, Index(index), LogTime(now));
    assert_eq!(at(5, 100, claim("k", 1, 11, 50)), granted(5));
    assert_eq!(at(6, 110, renew("k", 5, 10)), granted(5));
    assert_eq!(at(7, 111, claim("k", 1, 11, 10)), granted(5));
    let taken = Reply::Taken { member: 1, token: 5, millis: 1 };
    assert_eq!(at(8, 149, claim("k", 2, 22, 50)), taken);
    assert_eq!(at(9, 149, renew("k", 5, 90)), granted(5));
    let taken = Reply::Taken { member: 1, token: 5, millis: 89 };
    assert_eq!(at(10, 150, claim("k", 2, 22, 50)), taken);
}

#[test]
fn effects_are_let_through_for_the_holder_alone_and_while_it_holds() {
    let mut claims = Claims::default();
    claims.apply(claim("k", 1, 11, 50), Index(5), LogTime(100));
    assert!(claims.lets(b"k", 5, LogTime(149)));
    assert!(!claims.lets(b"k", 5, LogTime(150)), "it is over, though nobody said so yet");
    assert!(!claims.lets(b"k", 4, LogTime(149)) && !claims.lets(b"j", 5, LogTime(149)));
    claims.apply(claim("k", 2, 22, 50), Index(8), LogTime(150));
    assert!(!claims.lets(b"k", 5, LogTime(150)) && claims.lets(b"k", 8, LogTime(150)));
}

#[test]
fn nothing_is_kept_of_what_is_over() {
    let mut claims = Claims::default();
    claims.apply(claim("k", 1, 11, 50), Index(5), LogTime(100));
    claims.apply(claim("j", 1, 12, 60), Index(6), LogTime(100));
    assert_eq!((claims.due(), claims.bytes), (Some(LogTime(150)), 2));
    claims.expire(LogTime(150));
    assert_eq!((claims.due(), claims.count()), (Some(LogTime(160)), 1));
    claims.apply(release("j", 6), Index(7), LogTime(151));
    assert_eq!(claims, Claims::default());
}

#[test]
fn number_and_bytes_are_bounded_and_what_is_held_already_goes_on() {
    let mut claims = Claims::default();
    let most = u64::try_from(CLAIMS_MAX).unwrap();
    for number in 1..=most {
        let reply =
            claims.apply(claim(&number.to_string(), 1, number, 50), Index(number), LogTime(0));
        assert_eq!(reply, granted(number));
    }
    let full = claims.apply(claim("k", 1, 0, 50), Index(most + 1), LogTime(0));
    assert_eq!(full, Reply::Full);
    assert_eq!(claims.apply(renew("7", 7, 90), Index(most + 2), LogTime(1)), granted(7));
    assert_eq!(claims.apply(claim("k", 1, 0, 50), Index(most + 3), LogTime(50)), granted(most + 3));
    let mut claims = Claims::default();
    let long = |number: usize| format!("{number:0>256}");
    let fits = CLAIM_KEYS_BYTES_MAX / 256;
    for number in 0..fits {
        claims.apply(claim(&long(number), 1, 1, 50), Index(1), LogTime(0));
    }
    assert_eq!(claims.count(), fits);
    assert_eq!(claims.apply(claim("k", 1, 1, 50), Index(2), LogTime(0)), Reply::Full);
}

#[test]
fn what_no_build_proposes_changes_nothing() {
    let mut claims = Claims::default();
    let long = "k".repeat(Placement::KEY_BYTES_MAX + 1);
    for command in [
        claim("", 1, 1, 50),
        claim(&long, 1, 1, 50),
        claim("k", 1, 1, 0),
        claim("k", 1, 1, CLAIM_MS_MAX + 1),
        renew("k", 1, 0),
        release("", 1),
    ] {
        assert_eq!(claims.apply(command, Index(1), LogTime(0)), Reply::Malformed);
    }
    assert_eq!(claims, Claims::default());
}

#[derive(Clone, Debug)]
enum Step {
    Claim { key: u8, holder: u8, millis: u64 },
    Renew { token: u64, millis: u64 },
    Release { token: u64 },
    Wait { millis: u64 },
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3_u8, 0..4_u8, 1..40_u64).prop_map(|(key, holder, millis)| Step::Claim {
            key,
            holder,
            millis
        }),
        (0..60_u64, 1..40_u64).prop_map(|(token, millis)| Step::Renew { token, millis }),
        (0..60_u64).prop_map(|token| Step::Release { token }),
        (1..60_u64).prop_map(|millis| Step::Wait { millis }),
        Just(Step::Restore),
    ]
}

proptest! {
    /// Against a list of all that was ever granted: at no log time two tokens of a key are good,
    /// and tokens of a key only grow.
    #[test]
    fn no_two_hold_a_key_at_a_time(steps in proptest::collection::vec(step(), 1..60)) {
        let mut claims = Claims::default();
        let mut now = 0;
        // By token: the key, and until when it was granted last.
        let mut grants = BTreeMap::<u64, (u8, u64)>::new();
        for (index, step) in (1..).zip(steps) {
            let name = |key: u8| vec![b'a' + key];
            let (command, key, millis) = match step {
                Step::Wait { millis } => { now += millis; continue }
                Step::Restore => {
                    let bytes = postcard::to_stdvec(&claims).unwrap();
                    let restored: Claims = postcard::from_bytes(&bytes).unwrap();
                    prop_assert_eq!(&restored, &claims);
                    claims = restored;
                    continue;
                }
                Step::Claim { key, holder, millis } => {
                    let (member, holder) = (u64::from(holder % 2), u64::from(holder));
                    (Command::Claim { key: name(key), member, holder, millis }, key, millis)
                }
                Step::Renew { token, millis } => {
                    let key = grants.get(&token).map_or(0, |grant| grant.0);
                    (Command::Renew { key: name(key), token, millis }, key, millis)
                }
                Step::Release { token } => {
                    let Some((key, _)) = grants.get(&token).copied() else { continue };
                    let release = Command::Release { key: name(key), token };
                    claims.apply(release, Index(index), LogTime(now));
                    grants.get_mut(&token).unwrap().1 = now;
                    continue;
                }
            };
            if let Reply::Granted { token } = claims.apply(command, Index(index), LogTime(now)) {
                let newest = grants.iter().rfind(|(_, grant)| grant.0 == key).map(|(t, _)| *t);
                prop_assert!(newest.is_none_or(|newest| newest <= token), "tokens grow");
                let before = grants.get(&token).map_or(0, |grant| grant.1);
                grants.insert(token, (key, before.max(now + millis)));
            }
            for key in 0..3 {
                let held = |(token, grant): (&u64, &(u8, u64))| {
                    let good = claims.lets(&name(key), *token, LogTime(now));
                    assert_eq!(good, grant.0 == key && now < grant.1, "{token}: {grant:?}");
                    usize::from(good)
                };
                prop_assert!(grants.iter().map(held).sum::<usize>() <= 1);
            }
        }
    }
}
