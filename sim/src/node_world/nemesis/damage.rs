//! What takes from a member what it has promised: its disk is lost, rots, puts a sector into a
//! wrong place, or lies. Only to one without which the others can decide, and that counts as gone
//! until it was looked at; but for runs that are to go beyond what is promised.

use super::Nemesis;
use crate::node_world::configurations;
use crate::node_world::findings::{any_broken, happened};
use crate::node_world::happening::Happening;
use crate::node_world::member::Member;
use crate::node_world::trace::syncs;
use holm_wal::Lie;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// After so many syncs later batches bear witness to all that was there before, also if one was
/// under way, and the next one went astray: damage to what nothing bears witness to can't be told
/// from a torn write.
const WITNESSES: u64 = 6;
/// How long they are waited for at most, and how long a damaged log may take to be repaired.
const PATIENCE: Duration = Duration::from_secs(8);
/// The setting with which it happens to a majority at once, too.
const BEYOND: u64 = 2;
const EVERY: Duration = Duration::from_millis(50);

impl Nemesis {
    pub(super) async fn of_damage(&self, n: u64, what: &Happening) {
        let Some(member) = self.member(what) else { return };
        let runs = member.status().is_some_and(|status| status.formed);
        let idle = !member.process_busy.get() && !member.disk_busy.get();
        let beyond = self.plan.settings.beyond == BEYOND;
        if !runs || !idle || member.forgets() || !(beyond || self.can_do_without(member)) {
            return;
        }
        member.process_busy.set(true);
        member.disk_busy.set(true);
        member.doubt();
        match what {
            Happening::Wipe { .. } => {
                self.begins(n, what);
                self.loses(member);
                self.give_up(member, what).await;
            }
            Happening::Lie { .. } => {
                self.begins(n, what);
                member.disk().set_lie(Lie::All);
                self.lasts(what).await;
                self.loses(member);
                member.power_cut();
                if beyond {
                    // Nobody knows that it has lied.
                    member.disk().set_lie(Lie::None);
                    self.is_back(member, what).await;
                } else {
                    // An operator does not trust such a disk again.
                    self.give_up(member, what).await;
                }
            }
            _ => self.damage(n, what, member).await,
        }
        self.ends(n, what);
        member.trust();
        member.process_busy.set(false);
        member.disk_busy.set(false);
    }

    /// Rot, or a misdirected write: found by the next start, and repaired from the others.
    async fn damage(&self, n: u64, what: &Happening, member: &Member) {
        let before = syncs(member.node);
        self.begins(n, what);
        if matches!(what, Happening::Rot { .. }) {
            self.rot(member);
        } else {
            member.disk().misdirect(1);
        }
        self.lasts(what).await;
        let until = Instant::now() + PATIENCE;
        let witnessed = || syncs(member.node) >= before + WITNESSES;
        while !witnessed() && member.running().is_some() && Instant::now() < until {
            sleep(EVERY).await;
        }
        member.disk().misdirect(0);
        if !witnessed() {
            happened("disks that nothing bore witness to");
            return self.give_up(member, what).await;
        }
        self.loses(member);
        member.kill();
        self.is_back(member, what).await;
    }

    /// It is started on a disk that is not what it was, and repaired, or given up.
    async fn is_back(&self, member: &Member, what: &Happening) {
        member.start_again();
        let until = Instant::now() + PATIENCE;
        while member.running().is_none() && Instant::now() < until && !any_broken() {
            sleep(EVERY).await;
        }
        if member.running().is_none() {
            happened("disks beyond repair");
            return self.give_up(member, what).await;
        }
        happened("starts on a disk that was damaged");
    }

    /// Its disk counts as lost, and another one takes its place.
    async fn give_up(&self, member: &Member, what: &Happening) {
        member.wipe();
        configurations::forget(member.node);
        if matches!(what, Happening::Wipe { .. }) {
            self.lasts(what).await;
        }
        member.start_again();
        happened("disks that were lost");
    }

    /// A bit flips, in a segment that is full or in a snapshot.
    fn rot(&self, member: &Member) {
        let disk = member.disk();
        let attached = disk.attach();
        let mut names = attached.list().unwrap_or_default();
        names.retain(|name| name.starts_with("segment-") || name.starts_with("snapshot-"));
        let newest = names.iter().filter(|name| name.starts_with("segment-")).max().cloned();
        names.retain(|name| Some(name) != newest.as_ref());
        let Some(last) = u64::try_from(names.len()).ok().and_then(|n| n.checked_sub(1)) else {
            return;
        };
        let at = usize::try_from(self.between(0, last)).expect("a few");
        let Some(name) = names.get(at) else { return };
        let len = attached.open(name).map_or(0, |file| file.len());
        if len > 0 {
            let offset = usize::try_from(self.between(0, len - 1)).expect("a small file");
            disk.flip(name, offset, 1 << self.between(0, 7));
        }
    }
}
