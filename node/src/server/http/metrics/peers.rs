//! What `/metrics` says of the other members, and of the links between all of them.

use super::text::Text;
use crate::measures::Measured;
use crate::status::{MemberStatus, Status};

/// How the other members are reached. A family's samples have to stand together.
pub(super) fn reached(text: &mut Text, status: &Status, measured: &Measured) {
    let peers: Vec<(String, &MemberStatus)> = status
        .members
        .iter()
        .filter(|member| member.node != status.node)
        .map(|member| (member.node.to_string(), member))
        .collect();
    text.family("holm_peer_reached", "gauge", "1 if the member is reached, and how; 0 if not.");
    for (peer, member) in &peers {
        // `via N`: whom it goes through is no label, or each relay would make a series.
        let how = member.reached.split(' ').next().unwrap_or_default();
        text.sample(&[("peer", peer), ("how", how)], u8::from(how != "not"));
    }
    let help = "The times there and back, the way the member is reached.";
    text.family("holm_peer_round_trip_time_seconds", "histogram", help);
    for (peer, member) in &peers {
        if let Some(trips) = measured.round_trips.get(&member.node) {
            text.seconds(&[("peer", peer)], trips);
        }
    }
    text.family("holm_peer_sent_bytes_total", "counter", "Bytes written to the link with it.");
    for (peer, member) in &peers {
        text.sample(&[("peer", peer)], member.sent_bytes);
    }
    text.family("holm_peer_received_bytes_total", "counter", "Bytes received from the member.");
    for (peer, member) in &peers {
        text.sample(&[("peer", peer)], member.received_bytes);
    }
    text.family("holm_peer_frames_lost_total", "counter", "Frames lost, to or from the member.");
    for (peer, member) in &peers {
        for (reason, count) in &member.lost {
            text.sample(&[("peer", peer), ("reason", reason)], count);
        }
    }
}

/// Who has links to whom, and who was refused one.
pub(super) fn links(text: &mut Text, status: &Status) {
    text.family("holm_link", "gauge", "1 for each live link, as the member at its end says.");
    for row in &status.links {
        for to in &row.links {
            text.sample(&[("from", &row.node.to_string()), ("to", &to.to_string())], 1);
        }
    }
    let help = "Connections refused before they counted as a member's.";
    text.family("holm_connections_refused_total", "counter", help);
    for (reason, count) in &status.refused {
        text.sample(&[("reason", reason)], count);
    }
}
