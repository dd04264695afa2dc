//! What happens to links.

use super::Nemesis;
use crate::node_world::findings::happened;
use crate::node_world::happening::Happening;
use crate::node_world::network::Ending;
use crate::node_world::plan::Quality;
use crate::node_world::trace::leader;
use std::time::Duration;
use tokio::time::sleep;

impl Nemesis {
    pub(super) async fn of_links(&self, n: u64, what: &Happening) {
        match *what {
            Happening::Cut { from, to, .. } => self.cut(n, what, &[(from, to)]).await,
            Happening::Part { a, b, .. } => self.cut(n, what, &[(a, b), (b, a)]).await,
            Happening::Isolate { member, .. } => {
                self.cut(n, what, &self.links_of(|node| node == member)).await;
            }
            Happening::IsolateLeader { .. } => {
                let Some(leader) = leader() else { return };
                self.cut(n, what, &self.links_of(|node| node == leader)).await;
            }
            Happening::IslandOff { island, .. } => {
                let on = |node: u64| {
                    let at = usize::try_from(node - 1).expect("a few");
                    self.plan.places[at].island == island
                };
                let links = self.links_of(on);
                if !links.is_empty() {
                    self.cut(n, what, &links).await;
                }
            }
            Happening::Flap { a, b, times, .. } => self.flap(n, what, (a, b), times).await,
            Happening::Hang { a, b } => self.fail(n, what, (a, b), Ending::Hang),
            Happening::HalfOpen { a, b } => self.fail(n, what, (a, b), Ending::HalfOpen),
            Happening::Reset { a, b } => self.fail(n, what, (a, b), Ending::Reset),
            Happening::Slow { from, to, micros, .. } => {
                let slower = |q: Quality| Quality { latency: micros, jitter: micros / 2, ..q };
                self.changed(n, what, (from, to), slower).await;
            }
            Happening::Narrow { from, to, bytes, .. } => {
                let narrower = |q: Quality| Quality { bandwidth: bytes.max(1), ..q };
                self.changed(n, what, (from, to), narrower).await;
            }
            Happening::Lossy { from, to, millionths, .. } => {
                let worse = |q: Quality| Quality { lost: millionths, ..q };
                self.changed(n, what, (from, to), worse).await;
            }
            Happening::Garble { from, to, millionths, .. } => {
                let worse = |q: Quality| Quality { garbled: millionths, ..q };
                self.changed(n, what, (from, to), worse).await;
            }
            Happening::StayCut { a, b } => self.left_cut.borrow_mut().push((a, b)),
            _ => {}
        }
    }

    /// The directions that lead in or out.
    fn links_of(&self, inside: impl Fn(u64) -> bool) -> Vec<(u64, u64)> {
        let joined = self.plan.joined().into_iter();
        let leads = joined.filter(|(one, other)| inside(*one) != inside(*other));
        leads.flat_map(|(one, other)| [(one, other), (other, one)]).collect()
    }

    async fn cut(&self, n: u64, what: &Happening, directions: &[(u64, u64)]) {
        self.begins(n, what);
        directions.iter().for_each(|(from, to)| self.net.cut(*from, *to));
        self.lasts(what).await;
        directions.iter().for_each(|(from, to)| self.net.heal(*from, *to));
        self.ends(n, what);
    }

    async fn flap(&self, n: u64, what: &Happening, (a, b): (u64, u64), times: u64) {
        self.begins(n, what);
        let times = times.clamp(1, 100);
        let half = Duration::from_micros(what.lasting().unwrap_or(0) / times / 2);
        for _ in 0..times {
            self.net.cut(a, b);
            self.net.cut(b, a);
            sleep(half).await;
            self.net.heal(a, b);
            self.net.heal(b, a);
            self.net.fail(a, b, Ending::Reset);
            sleep(half).await;
        }
        self.ends(n, what);
    }

    /// Takes effect only where there are connections.
    fn fail(&self, n: u64, what: &Happening, (a, b): (u64, u64), ending: Ending) {
        if self.net.fail(a, b, ending) > 0 {
            self.begins(n, what);
        }
    }

    async fn changed(
        &self,
        n: u64,
        what: &Happening,
        (from, to): (u64, u64),
        change: impl FnOnce(Quality) -> Quality,
    ) {
        self.begins(n, what);
        let before = self.plan.quality(from, to);
        self.net.change(from, to, change(before));
        self.lasts(what).await;
        self.net.change(from, to, before);
        self.ends(n, what);
    }

    /// All is as it was at first, but for what stays cut.
    pub(in crate::node_world) fn heal_links(&self) {
        self.net.relays().behave();
        for (one, other) in self.plan.joined() {
            for (from, to) in [(one, other), (other, one)] {
                self.net.heal(from, to);
                self.net.change(from, to, self.plan.quality(from, to));
            }
        }
    }

    /// Cuts what stays cut, each only if those that are left join a quorum. Returns those links.
    pub(in crate::node_world) fn cut_for_good(&self) -> Vec<(u64, u64)> {
        let mut cut = Vec::new();
        for (a, b) in self.left_cut.borrow().iter().copied() {
            let (one, other) = (a.min(b), a.max(b));
            if !self.net.is_open(one, other) || !self.plan.joined().contains(&(one, other)) {
                continue;
            }
            self.net.cut(one, other);
            self.net.cut(other, one);
            if self.quorum().is_some() {
                cut.push((one, other));
                continue;
            }
            self.net.heal(one, other);
            self.net.heal(other, one);
        }
        if !cut.is_empty() {
            crate::node_world::findings::takes_effect("stay-cut");
            happened("links left cut");
        }
        cut
    }
}
