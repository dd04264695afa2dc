//! The numbers behind `/metrics`, in Prometheus' text format: [`Metrics`] counts HTTP answers; the
//! rest comes from the node's status.

use crate::status::{DiskState, Status};
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

    pub(super) fn text(&self, status: &Status) -> String {
        let mut text = Text::default();
        let cluster = status.cluster.as_str();
        let node = status.node.to_string();
        text.family("holm_info", "gauge", "Which member this is.");
        text.sample("holm_info", &[("cluster", cluster), ("node", &node)], 1);
        text.family("holm_role", "gauge", "1 for the role that the member has.");
        text.sample("holm_role", &[("role", &status.role)], 1);
        text.family("holm_disk", "gauge", "1 for how the member's disk does.");
        let disk = match status.disk.state {
            DiskState::Ok => "ok",
            DiskState::Stalled => "stalled",
            DiskState::Full => "full",
        };
        text.sample("holm_disk", &[("state", disk)], 1);
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
            text.sample(name, &[], value);
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
            text.sample(name, &[], value);
        }
        text.family("holm_trails_entries", "gauge", "Entries a member trails its leader by.");
        for member in &status.members {
            if let Some(trails) = member.trails {
                text.sample("holm_trails_entries", &[("node", &member.node.to_string())], trails);
            }
        }
        text.family("holm_http_answers_total", "counter", "HTTP answers.");
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for ((route, method, status), count) in answers.iter() {
            let status = status.to_string();
            let labels = [("route", route.as_str()), ("method", method), ("status", &status)];
            text.sample("holm_http_answers_total", &labels, *count);
        }
        text.0
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        if labels.is_empty() {
            return self.line(format_args!("{name} {value}"));
        }
        let labels: Vec<_> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        self.line(format_args!("{name}{{{}}} {value}", labels.join(",")));
    }

    fn line(&mut self, line: impl Display) {
        writeln!(self.0, "{line}").expect("writing to a String can't fail");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
