//! The trace for ShiViz: each member and client is a host with a vector clock that grows with what
//! it does, and is carried by messages.

use super::{Line, What};
use std::collections::BTreeMap;

/// What ShiViz is to parse the lines with.
const EXPRESSION: &str = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)";

type Clock = BTreeMap<String, u64>;

/// The log, with its expression in front.
pub(super) fn log(lines: &[Line]) -> String {
    let mut hosts: BTreeMap<String, Clock> = BTreeMap::new();
    let mut sent: BTreeMap<u64, (Clock, u64, String)> = BTreeMap::new();
    let mut out = format!("{EXPRESSION}\n\n");
    let mut happen = |host: String, with: Option<&Clock>, event: String| -> Clock {
        let clock = hosts.entry(host.clone()).or_default();
        for (other, count) in with.into_iter().flatten() {
            let known = clock.entry(other.clone()).or_default();
            *known = (*known).max(*count);
        }
        *clock.entry(host.clone()).or_default() += 1;
        let shown: Vec<String> =
            clock.iter().map(|(host, count)| format!("\"{host}\":{count}")).collect();
        out.push_str(&format!("{host} {{{}}}\n{event}\n", shown.join(", ")));
        clock.clone()
    };
    let node = |node: u64| format!("n{node}");
    for line in lines {
        match &line.what {
            What::Sent { id, kind, from, to, term, says, .. } => {
                let said = format!("{kind} term={term} {says}");
                let clock = happen(node(*from), None, format!("sends to {to}: {said}"));
                sent.insert(*id, (clock, *to, said));
            }
            What::Delivered { id } => {
                if let Some((clock, to, said)) = sent.remove(id) {
                    happen(node(to), Some(&clock), format!("takes {said}"));
                }
            }
            What::Member(state) => {
                let says = format!("{} term={} commit={}", state.role, state.term, state.commit);
                happen(node(state.node), None, says);
            }
            What::Down { node: at, why } => {
                happen(node(*at), None, format!("is down: {why}"));
            }
            What::Violation { checker, says } => {
                happen("checker".to_owned(), None, format!("{checker}: {says}"));
            }
            _ => {}
        }
    }
    out
}
