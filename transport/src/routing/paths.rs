//! The shortest live paths from one member to all others: `shortest`, and the `Route` it finds to
//! each.

use super::record::Record;
use crate::config::Relaying;
use holm_raft_core::NodeId;
use std::collections::{BTreeMap, VecDeque};

/// How a member is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The direct neighbour to which a frame for it is given.
    pub(crate) via: NodeId,
    /// The links on the way: 1 for a direct neighbour.
    pub(crate) hops: usize,
}

/// The routes from `me`, who has direct live links to `links` (in ascending order), without
/// `avoided` anywhere on the way. Visits each pair of members once at most.
///
/// A link counts only if both its ends list it: one end alone may not have found out yet that the
/// link is gone, or may speak of a link to an earlier start. Only members that relay stand between
/// two others. The one exception to both is a direct link of `me` to the destination itself, which
/// is always taken: the frame then depends on nobody's view of the network.
///
/// Of paths with as many links, that with the lowest next hop is taken. Round trips have no part
/// in it, so that a route changes only when a link comes or goes.
pub(crate) fn shortest<'a>(
    me: NodeId,
    links: impl Iterator<Item = NodeId> + Clone,
    record: impl Fn(NodeId) -> Option<&'a Record>,
    avoided: Option<NodeId>,
) -> BTreeMap<NodeId, Route> {
    let lists = |node, other| record(node).is_some_and(|found| found.neighbours.contains(&other));
    let direct = links.filter(|link| Some(*link) != avoided);
    let direct = direct.map(|via| (via, Route { via, hops: 1 }));
    let two_way = direct.clone().filter(|(link, _)| lists(*link, me));
    // Holds the next hops in ascending order at each distance, so who reaches a member first
    // reaches it with the lowest next hop.
    let mut queue: VecDeque<(NodeId, Route)> = two_way.collect();
    let mut routes: BTreeMap<NodeId, Route> = queue.iter().copied().collect();
    while let Some((node, Route { via, hops })) = queue.pop_front() {
        let Some(found) = record(node).filter(|found| found.relaying == Relaying::On) else {
            continue;
        };
        for next in found.neighbours.iter().copied() {
            let known = next == me || Some(next) == avoided || routes.contains_key(&next);
            if !known && lists(next, node) {
                let route = Route { via, hops: hops + 1 };
                routes.insert(next, route);
                queue.push_back((next, route));
            }
        }
    }
    routes.extend(direct);
    routes
}
