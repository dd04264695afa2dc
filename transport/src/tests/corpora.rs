//! What `cargo test` runs of the fuzz targets: their bodies over the kept inputs, with a count of
//! how many get past the checks. Inputs that none gets past would show nothing.

use crate::fuzz::session::{Depth as Session, session_held};
use crate::fuzz::{Depth, frames_checked};
use crate::routing::records_taken;
use crate::secure::fuzz::{Depth as Handshake, Stage, handshake_tried};
use std::path::Path;

/// The kept inputs of a target.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = folder.read_dir().expect("the kept corpus");
    files.map(|file| std::fs::read(file.expect("an entry").path()).expect("readable")).collect()
}

#[test]
fn kept_frames_hold_and_get_past_the_checksum() {
    let inputs = kept("transport_frames");
    let mut deep = 0;
    let mut total = Depth::default();
    for data in &inputs {
        let depth = frames_checked(data);
        deep += usize::from(depth.bodies > 0);
        total.frames += depth.frames;
        total.bodies += depth.bodies;
    }
    // One input for each kind of message, the hello, and frames that are refused later on.
    assert!(inputs.len() >= 17, "{} inputs", inputs.len());
    assert!(deep >= 15, "{deep} inputs with a body that was understood");
    assert!(total.frames > total.bodies, "{total:?}: none is refused past the checksum");
}

#[test]
fn kept_handshakes_hold_and_each_message_is_taken_unchanged_and_refused_changed() {
    let inputs = kept("transport_handshake");
    let depths: Vec<_> = inputs.iter().map(|data| handshake_tried(data)).collect();
    let count = |wanted| depths.iter().filter(|depth| **depth == wanted).count();
    // Each message on each of the two ways.
    assert!(count(Handshake::Established) >= 6, "{depths:?}");
    for stage in Stage::ALL {
        assert!(count(Handshake::Refused(stage)) >= 8, "{stage:?} of {depths:?}");
    }
}

#[test]
fn kept_records_hold_and_most_are_understood() {
    let inputs = kept("transport_records");
    let taken: Vec<_> = inputs.iter().map(|data| records_taken(data)).collect();
    let deep = taken.iter().filter(|taken| **taken > 0).count();
    assert!(inputs.len() >= 15 && deep >= 12, "{deep} inputs: {taken:?}");
    assert!(taken.iter().sum::<usize>() >= 100, "records were understood: {taken:?}");
}

#[test]
fn kept_sessions_hold_and_get_through_handshakes_to_notes_both_ways() {
    let inputs = kept("transport_session");
    let mut total = Session::default();
    let mut deep = 0;
    for data in &inputs {
        let Session { direct, beyond, away, ups, renewed, ended, lost } = session_held(data);
        assert_eq!(session_held(data).lost, lost, "one input, one history");
        deep += usize::from(beyond + away > 0);
        total.direct += direct;
        total.beyond += beyond;
        total.away += away;
        total.ups += ups;
        total.renewed += renewed;
        total.ended += ended;
        total.lost += lost;
    }
    println!("{} inputs, {deep} of them deep: {total:?}", inputs.len());
    assert!(inputs.len() >= 25 && deep >= 10, "{deep} of {} inputs: {total:?}", inputs.len());
    let Session { direct, beyond, away, ups, renewed, ended, lost } = total;
    assert!(direct >= 10 && beyond >= 10 && away >= 10, "{total:?}");
    assert!(ups >= 10 && renewed >= 2 && ended >= 10 && lost >= 100, "{total:?}");
}
