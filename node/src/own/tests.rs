//! Tests of the own state's encodings: commands in the log, and parts in a snapshot.

use super::*;
use tickets::Name;

fn issue() -> Command {
    Command::Ticket(tickets::Command::Issue {
        name: Name([7; 32]),
        purpose: b"join".to_vec(),
        payload: vec![1, 2],
        ttl: 300,
        remembered: 5,
        void_after: 1_000,
    })
}

#[test]
fn the_bytes_of_commands_stay_as_they_are() {
    assert_eq!(Command::Mark.encode(), [1, 0][..]);
    let golden =
        [&[1, 1, 0][..], &[7; 32], &[4], b"join", &[2, 1, 2], &[172, 2], &[5], &[232, 7]].concat();
    assert_eq!(issue().encode(), golden);
    assert_eq!(Command::decode(&golden), Ok(issue()));
}

#[test]
fn what_is_cut_short_longer_or_unknown_is_not_read() {
    let bytes = issue().encode();
    for length in 0..bytes.len() {
        assert!(Command::decode(&bytes[..length]).is_err(), "{length} bytes");
    }
    for (at, value) in [(0, 2), (1, 99), (2, 99)] {
        let mut changed = bytes.to_vec();
        changed[at] = value;
        assert!(Command::decode(&changed).is_err(), "byte {at} is {value}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(Command::decode(&longer), Err("bytes follow it".to_owned()));
}

#[test]
fn the_bytes_of_the_state_stay_as_they_are_and_a_part_that_is_not_known_is_named() {
    let mut state = State::default();
    assert_eq!(postcard::to_stdvec(&state).unwrap(), [0]);
    state.apply(issue(), Index(1), LogTime(500));
    let times = [&[160, 6], &[232, 7]];
    let part =
        [&[1][..], &[7; 32], &[4], b"join", &[2, 1, 2], times[0], times[1], &[0, 0]].concat();
    let golden = [&[1, TICKETS, u8::try_from(part.len()).unwrap()][..], &part].concat();
    assert_eq!(postcard::to_stdvec(&state).unwrap(), golden);
    assert_eq!(postcard::from_bytes::<State>(&golden).unwrap(), state);
    let unknown = postcard::to_stdvec(&vec![(200_u8, vec![0_u8])]).unwrap();
    assert!(postcard::from_bytes::<State>(&unknown).is_err());
    let error = State::try_from(vec![(200, vec![0])]).unwrap_err();
    assert_eq!(error, "part 200 of Holm's own state is not known");
}
