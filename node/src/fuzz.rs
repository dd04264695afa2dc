//! What clients may present, and what may stand in a log or a snapshot of Holm's own: a body for
//! fuzzing, which `cargo test` runs over the kept corpus as well.

use crate::envelope::Envelope;
use crate::own::{Command, State};
use crate::session::{Ticket, fuzz_token};
use bytes::Bytes;
use holm_raft_core::{Index, LogTime};

/// Reads `data`, by its first byte, as a token, a ticket, a command in its envelope, commands of
/// Holm's own one after the other, or a state of them. Nothing panics, and whatever is read is
/// written and read again as the same. Whether it was read, and not refused.
pub fn fuzz_sessions(data: &[u8]) -> bool {
    let Some((kind, data)) = data.split_first() else { return false };
    match kind % 5 {
        0 => fuzz_token(&String::from_utf8_lossy(data)),
        1 => fuzz_ticket(&String::from_utf8_lossy(data)),
        2 => fuzz_envelope(data),
        3 => fuzz_commands(data),
        _ => fuzz_state(data),
    }
}

fn fuzz_ticket(text: &str) -> bool {
    let Ok(ticket) = text.parse::<Ticket>() else { return false };
    assert!(text.trim().len() <= Ticket::TEXT_BYTES_MAX);
    let written = ticket.reveal();
    assert_eq!(written.len(), 34);
    assert_eq!(written.parse::<Ticket>().as_ref(), Ok(&ticket));
    true
}

fn fuzz_envelope(data: &[u8]) -> bool {
    let Some(envelope) = Envelope::decode(Bytes::copy_from_slice(data)) else { return false };
    assert_eq!(Envelope::decode(envelope.encode()), Some(envelope));
    true
}

/// Each command has its length, in two bytes, before it.
fn fuzz_commands(mut data: &[u8]) -> bool {
    let (mut state, mut read) = (State::default(), false);
    let mut at = 0;
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (command, rest) = rest.split_at(length);
        data = rest;
        at += 1;
        let Ok(command) = Command::decode(command) else { continue };
        assert_eq!(Command::decode(&command.encode()).as_ref(), Ok(&command));
        state.apply(command, Index(at), LogTime(at * 100));
        read = true;
    }
    let bytes = postcard::to_stdvec(&state).expect("a state can be encoded");
    assert_eq!(postcard::from_bytes::<State>(&bytes).as_ref(), Ok(&state));
    read
}

fn fuzz_state(data: &[u8]) -> bool {
    let Ok(mut state) = postcard::from_bytes::<State>(data) else { return false };
    let bytes = postcard::to_stdvec(&state).expect("a state can be encoded");
    assert_eq!(postcard::from_bytes::<State>(&bytes).as_ref(), Ok(&state));
    // Time goes by until nothing is due any more.
    while let Some(due) = state.due() {
        state.apply(Command::Mark, Index(1), due);
        assert!(state.due().is_none_or(|next| next > due));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn nothing_in_the_kept_corpus_panics() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/node_sessions");
        // How many there are of each kind, and how many of them are read.
        let mut counts = [(0, 0); 5];
        for file in folder.read_dir().expect("the kept corpus") {
            let input = std::fs::read(file.unwrap().path()).unwrap();
            let count = &mut counts[usize::from(input[0] % 5)];
            *count = (count.0 + 1, count.1 + u32::from(fuzz_sessions(&input)));
        }
        let enough = [(4, 1), (3, 2), (3, 3), (3, 3), (3, 2)];
        let pairs = counts.iter().zip(enough);
        let met = pairs.into_iter().all(|(is, least)| is.0 >= least.0 && is.1 >= least.1);
        assert!(met, "{counts:?} of at least {enough:?}");
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_may_come_panics(data: Vec<u8>) {
            fuzz_sessions(&data);
        }
    }
}
