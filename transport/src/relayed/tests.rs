//! What a session carries, what it refuses, and that another one follows before it is spent.

use super::*;
use crate::frame::Frame;
use crate::greetings::tests::{End, ends, greet};
use holm_raft_core::NodeId;
use std::time::Duration;

const START: Duration = Duration::ZERO;
const LATER: Duration = Duration::from_secs(60);

fn pair() -> [End; 2] {
    let [mut one, mut three] = ends();
    greet(&mut one, &mut three, START);
    [one, three]
}

/// Sets what the session that seals has used up.
fn use_up(end: &End, numbers: u64, bytes: u64) {
    end.relayed.sessions(|sessions| {
        let session = sessions.current.as_mut().expect("a session");
        session.next = numbers;
        session.seal.use_up(bytes);
    });
}

fn is_worn(end: &End) -> bool {
    end.relayed.sessions(|sessions| sessions.is_worn())
}

#[test]
fn frames_may_be_lost_and_overtake_each_other_and_each_opens_once() {
    let [one, three] = pair();
    let frames: Vec<Frame> =
        (0..9_u8).map(|note| one.seals(&three, &[note]).expect("a session")).collect();
    for at in [4, 0, 8, 2, 6, 7] {
        assert_eq!(three.opens(&frames[at]), Ok((vec![u8::try_from(at).unwrap()], one.who)));
        assert_eq!(three.opens(&frames[at]), Err(Lost::Repeated), "{at}");
    }
    assert_eq!(three.opens(&frames[1]), Ok((vec![1], one.who)), "late, and not too late");
}

#[test]
fn what_comes_later_than_the_window_is_wide_is_refused() {
    let [one, three] = pair();
    let held_back = one.seals(&three, b"held back").expect("a session");
    for number in 0..Window::WIDTH {
        let note = number.to_le_bytes();
        let frame = one.seals(&three, &note).expect("a session");
        assert_eq!(three.opens(&frame), Ok((note.to_vec(), one.who)));
    }
    assert_eq!(three.opens(&held_back), Err(Lost::Repeated));
}

#[test]
fn every_changed_bit_is_found_but_for_those_of_the_hops() {
    let [one, three] = pair();
    let frame = one.seals(&three, b"a note").expect("a session");
    let changed = |change: &dyn Fn(&mut Frame)| {
        let mut changed = frame.clone();
        change(&mut changed);
        three.opens(&changed)
    };
    for at in 0..frame.body.len() * 8 {
        let found = changed(&|frame| frame.body[at / 8] ^= 1 << (at % 8));
        // A changed name of the exchange names another one; all else is not what was sealed.
        let expected = if at < 64 { Lost::NoSession } else { Lost::Tampered };
        assert_eq!(found, Err(expected), "bit {at}");
    }
    let heads: [&dyn Fn(&mut Frame); 5] = [
        &|frame| frame.head.kind = Kind::Note,
        &|frame| frame.head.flags = Flags::URGENT,
        &|frame| frame.head.group = 1,
        &|frame| frame.head.source = NodeId(4),
        &|frame| frame.head.destination = NodeId(4),
    ];
    for head in heads {
        assert_eq!(changed(head), Err(Lost::Tampered));
    }
    for length in 0..frame.body.len() {
        let cut = changed(&|frame| frame.body.truncate(length));
        let expected = if length < INNER_BYTES_MAX { Lost::Malformed } else { Lost::Tampered };
        assert_eq!(cut, Err(expected), "{length} bytes");
    }
    // None of these has moved the window: the genuine one opens, with other hops too.
    let passed_on = changed(&|frame| frame.head.hops = 1);
    assert_eq!(passed_on, Ok((b"a note".to_vec(), one.who)));
}

#[test]
fn what_one_end_has_sealed_does_not_open_at_the_same_end() {
    let [one, three] = pair();
    // Under a number that the other end has not used.
    let own = [(); 2].map(|()| one.seals(&three, b"thrown back").expect("a session"));
    assert_eq!(one.opens(&own[1]), Err(Lost::Tampered));
}

#[test]
fn a_session_is_followed_by_another_one_before_its_numbers_or_its_bytes_run_out() {
    let eighths = |max: u64| max / 8 * 7;
    for (numbers, bytes) in [(eighths(Seal::NUMBERS_MAX), 0), (5, eighths(Seal::BYTES_MAX))] {
        let [mut one, mut three] = pair();
        assert!(!is_worn(&one) && !is_worn(&three));
        use_up(&one, numbers, bytes);
        assert!(is_worn(&one), "from now on another one is due");
        // Meanwhile it works, and what is on its way when the next one begins still opens.
        let on_its_way = [one.seals(&three, b"there"), three.seals(&one, b"back")];
        let [there, back] = on_its_way.map(|frame| frame.expect("not spent"));
        greet(&mut one, &mut three, LATER);
        assert!(!is_worn(&one) && !is_worn(&three));
        assert_eq!(three.opens(&there), Ok((b"there".to_vec(), one.who)));
        assert_eq!(one.opens(&back), Ok((b"back".to_vec(), three.who)));
        assert_eq!(three.opens(&there), Err(Lost::Repeated), "the old window is kept, too");
        let frame = one.seals(&three, b"new").expect("a session");
        assert_eq!(three.opens(&frame), Ok((b"new".to_vec(), one.who)));
    }
}

#[test]
fn the_end_that_did_not_begin_can_begin_when_its_key_is_worn() {
    let [mut one, mut three] = pair();
    use_up(&three, 0, Seal::BYTES_MAX / 8 * 7);
    greet(&mut three, &mut one, LATER);
    assert!(!is_worn(&three));
}

#[test]
fn a_spent_session_seals_nothing() {
    for (numbers, bytes) in [(Seal::NUMBERS_MAX, 0), (0, Seal::BYTES_MAX)] {
        let [one, three] = pair();
        use_up(&one, numbers, bytes);
        assert_eq!(one.seals(&three, b"too much").map(drop), Err(Lost::NoSession));
    }
    let [one, three] = pair();
    use_up(&one, Seal::NUMBERS_MAX - 1, 0);
    let last = one.seals(&three, b"the last").expect("one is left");
    assert_eq!(three.opens(&last), Ok((b"the last".to_vec(), one.who)));
    assert_eq!(one.seals(&three, b"too much").map(drop), Err(Lost::NoSession));
}

#[test]
fn what_insecure_links_carry_is_taken_as_it_is_or_refused() {
    let take = |bytes: &[u8]| Relayed::take(BytesMut::from(bytes));
    let note = take(&[Kind::Note.code(), Flags::PIECE.code(), 5]).expect("a note");
    assert_eq!((note.kind, note.flags, &note.body[..]), (Kind::Note, Flags::PIECE, &[5][..]));
    for wrong in [&[][..], &[3], &[99, 0], &[3, 4]] {
        assert_eq!(take(wrong).map(drop), Err(Lost::Malformed), "{wrong:?}");
    }
}
