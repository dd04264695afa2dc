//! What `/metrics` says of the member itself: what it is, what it has done, and how long that took.

use super::text::{Decimal, Text};
use crate::measures::Measured;
use crate::status::{DiskState, Status};

/// What it is now.
pub(super) fn states(text: &mut Text, status: &Status) {
    text.family("holm_info", "gauge", "Which member this is.");
    let (node, version) = (status.node.to_string(), env!("CARGO_PKG_VERSION"));
    text.sample(&[("cluster", &status.cluster), ("node", &node), ("version", version)], 1);
    text.family("holm_role", "gauge", "1 for the role that the member has.");
    text.sample(&[("role", &status.role)], 1);
    text.family("holm_disk", "gauge", "1 for how the member's disk does.");
    let disk = match status.disk.state {
        DiskState::Ok => "ok",
        DiskState::Stalled => "stalled",
        DiskState::Full => "full",
    };
    text.sample(&[("state", disk)], 1);
    let help = "For how long the disk has been stalled or full; 0 if it is not.";
    let trouble = Decimal { value: status.disk.for_ms, digits: 3 };
    text.single("holm_disk_trouble_seconds", "gauge", help, trouble);
    let leads = status.leader == Some(status.node);
    let gauges = [
        ("holm_has_leader", "1 if the member knows a leader.", u64::from(status.leader.is_some())),
        ("holm_is_leader", "1 if the member leads.", u64::from(leads)),
        ("holm_leader", "The leader's id; 0 if none is known.", status.leader.unwrap_or(0)),
        ("holm_term", "The current term.", status.term),
        ("holm_last_index", "The last index of this member's log.", status.last),
        ("holm_snapshot_index", "The last index that the snapshot holds.", status.snapshot),
        ("holm_log_bytes", "Bytes of the log.", status.log_bytes),
    ];
    for (name, help, value) in gauges {
        text.single(name, "gauge", help, value);
    }
    text.family("holm_trails_entries", "gauge", "Entries a member trails its leader by.");
    for member in &status.members {
        if let Some(trails) = member.trails {
            text.sample(&[("node", &member.node.to_string())], trails);
        }
    }
}

/// What it has done since it started.
pub(super) fn work(text: &mut Text, status: &Status, measured: &Measured) {
    let pending = measured.proposals_pending;
    let help = "Proposals made to this member that are not answered yet.";
    text.single("holm_proposals_pending", "gauge", help, pending);
    let counters = [
        ("holm_leader_changes_seen_total", "Leaders it came to know.", measured.leader_changes),
        ("holm_elections_total", "Elections this member started.", status.elections),
        ("holm_proposals_total", "Commands proposed to this member.", status.proposals),
        (
            "holm_proposals_failed_total",
            "Proposals made to this member that ended in an error.",
            measured.proposals_failed,
        ),
        (
            "holm_proposals_committed_total",
            "The highest index known to be committed.",
            status.commit,
        ),
        ("holm_proposals_applied_total", "The highest index applied.", status.applied),
        (
            "holm_snapshots_installed_total",
            "Snapshots of a leader's that took the place of the state.",
            measured.snapshots_installed,
        ),
    ];
    for (name, help, value) in counters {
        text.single(name, "counter", help, value);
    }
    let help = "What was presented to this member and refused.";
    text.family("holm_presented_refused_total", "counter", help);
    for (what, count) in &measured.refused {
        text.sample(&[("what", what)], count);
    }
    let help = "Messages that the protocol dropped, by reason.";
    text.family("holm_messages_dropped_total", "counter", help);
    for (reason, count) in &measured.messages_dropped {
        text.sample(&[("reason", reason)], count);
    }
}

/// How long it took.
pub(super) fn durations(text: &mut Text, measured: &Measured) {
    let durations = [
        (
            "holm_wal_fsync_duration_seconds",
            "How long it took to make writes of the log durable.",
            &measured.syncs,
        ),
        (
            "holm_apply_duration_seconds",
            "How long it took to apply a batch of committed commands.",
            &measured.applies,
        ),
        (
            "holm_snapshot_save_duration_seconds",
            "How long it took to encode a snapshot and save it.",
            &measured.snapshot_saves,
        ),
        (
            "holm_turn_duration_seconds",
            "How long a turn of the driver took, from its first input to its last action.",
            &measured.turns,
        ),
    ];
    for (name, help, found) in durations {
        text.family(name, "histogram", help);
        text.seconds(&[], found);
    }
    text.family("holm_turn_inputs", "histogram", "How many inputs a turn of the driver had.");
    text.numbers(&[], &measured.turn_inputs);
}
