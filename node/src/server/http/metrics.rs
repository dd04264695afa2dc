//! The numbers behind `/metrics`, in Prometheus' text format: [`Metrics`] counts HTTP answers; the
//! rest comes from the node's status.

use crate::status::{DiskState, MemberStatus, Status};
use axum::http::{Method, StatusCode};
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::{Mutex, PoisonError};

/// How many answers went out, by route, method and status. Routes are the router's patterns and
/// methods come from a fixed list, so clients can't make it grow.
#[derive(Default)]
pub(super) struct Metrics {
    answers: Mutex<BTreeMap<(String, &'static str, u16), u64>>,
}

impl Metrics {
    pub(super) fn count(&self, route: &str, method: &Method, status: StatusCode) {
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((route.to_owned(), method, status.as_u16())).or_default() += 1;
    }

    pub(super) fn text(&self, status: &Status, refused: &BTreeMap<&'static str, u64>) -> String {
        let mut text = Text::default();
        of_member(&mut text, status);
        of_peers(&mut text, status);
        of_links(&mut text, status);
        text.family("holm_http_answers_total", "counter", "HTTP answers.");
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for ((route, method, status), count) in answers.iter() {
            let status = status.to_string();
            text.sample(
                &[("route", route.as_str()), ("method", method), ("status", &status)],
                count,
            );
        }
        text.family("holm_http_refused_total", "counter", "HTTP refused for a limit.");
        for (limit, count) in refused {
            text.sample(&[("limit", limit)], count);
        }
        text.text
    }
}

fn of_member(text: &mut Text, status: &Status) {
    text.family("holm_info", "gauge", "Which member this is.");
    text.sample(&[("cluster", &status.cluster), ("node", &status.node.to_string())], 1);
    text.family("holm_role", "gauge", "1 for the role that the member has.");
    text.sample(&[("role", &status.role)], 1);
    text.family("holm_disk", "gauge", "1 for how the member's disk does.");
    let disk = match status.disk.state {
        DiskState::Ok => "ok",
        DiskState::Stalled => "stalled",
        DiskState::Full => "full",
    };
    text.sample(&[("state", disk)], 1);
    let gauges = [
        ("holm_term", "The current term.", status.term),
        ("holm_leader", "The leader's id; 0 if none is known.", status.leader.unwrap_or(0)),
        ("holm_commit_index", "The highest index known to be committed.", status.commit),
        ("holm_applied_index", "The highest index applied.", status.applied),
        ("holm_last_index", "The last index of this member's log.", status.last),
        ("holm_snapshot_index", "The last index that the snapshot holds.", status.snapshot),
        ("holm_log_bytes", "Bytes of the log.", status.log_bytes),
        (
            "holm_disk_trouble_milliseconds",
            "For how long the disk has been stalled or full; 0 if it is not.",
            status.disk.for_ms,
        ),
    ];
    for (name, help, value) in gauges {
        text.family(name, "gauge", help);
        text.sample(&[], value);
    }
    let counters = [
        ("holm_proposals_total", "Commands proposed to this member.", status.proposals),
        ("holm_elections_total", "Elections this member started.", status.elections),
        (
            "holm_messages_dropped_total",
            "Messages that the protocol dropped: misdirected, outdated or impossible.",
            status.messages_dropped,
        ),
    ];
    for (name, help, value) in counters {
        text.family(name, "counter", help);
        text.sample(&[], value);
    }
    text.family("holm_trails_entries", "gauge", "Entries a member trails its leader by.");
    for member in &status.members {
        if let Some(trails) = member.trails {
            text.sample(&[("node", &member.node.to_string())], trails);
        }
    }
}

/// How the other members are reached. A family's samples have to stand together.
fn of_peers(text: &mut Text, status: &Status) {
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
    let help = "The latest time there and back, the way the member is reached.";
    text.family("holm_peer_round_trip_seconds", "gauge", help);
    for (peer, member) in &peers {
        if let Some(us) = member.round_trip_us {
            text.sample(
                &[("peer", peer)],
                format_args!("{}.{:06}", us / 1_000_000, us % 1_000_000),
            );
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

fn of_links(text: &mut Text, status: &Status) {
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

/// The format: families, each with its samples behind it.
#[derive(Default)]
struct Text {
    text: String,
    family: &'static str,
}

impl Text {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// One more sample of the family that was begun last.
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let name = self.family;
        if labels.is_empty() {
            return self.line(format_args!("{name} {value}"));
        }
        let labels: Vec<_> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        self.line(format_args!("{name}{{{}}} {value}", labels.join(",")));
    }

    fn line(&mut self, line: impl Display) {
        writeln!(self.text, "{line}").expect("writing to a String can't fail");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
