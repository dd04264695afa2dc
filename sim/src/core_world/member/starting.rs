//! How a member starts: it finds what a crash left, which the checkers compare with what it had
//! acknowledged; and how a damaged log is repaired from the others'.

use super::running::{Making, Running};
use super::{Member, Stop, options};
use crate::checkers::durable::{self, Crash, Opened, Tail};
use crate::checkers::shadow::Shadow;
use crate::checkers::{Checkers, Holds, ensure};
use crate::core_world::plan::Settings;
use crate::core_world::said;
use holm_raft_core as raft;
use holm_raft_core::{
    Boot, Configuration, Entry, EntryId, Index, LogStart, Raft, Restored, Switch,
};
use holm_wal::{Error, Identity, Proof, Recovered, Snapshot, Snapshots, Wal};
use std::sync::Arc;

impl Member {
    /// Switches the member on.
    pub(in crate::core_world) fn start(
        &mut self,
        settings: &Settings,
        seed: u64,
        checkers: &Checkers,
    ) -> Result<(), Stop> {
        self.boots += 1;
        let attached = self.disk.attach();
        self.dim();
        let open = || Wal::open(Arc::clone(&attached), options(settings));
        let waiting = self.jobs.lock().expect("nobody panicked").len();
        let first = open().map(|(_, first)| Opened::from(&first));
        let first = first.map_err(|error| self.opening(error))?;
        // What the first asked of its disk is nobody's any more.
        self.jobs.lock().expect("nobody panicked").truncate(waiting);
        // What a recovery has put right stays so, and a second one has nothing to do.
        let (wal, recovered) = open().map_err(|error| self.opening(error))?;
        durable::recovers(self.me, &first, &Opened::from(&recovered))?;
        let (snapshots, newest, receiving) =
            Snapshots::open(Arc::clone(&attached)).map_err(|e| self.opening(e))?;
        let meta = newest.as_ref().map(|snapshot| snapshot.meta.clone());
        recovered.check_snapshot(meta.as_ref()).map_err(|e| self.opening(e))?;
        self.look_at(&wal, &recovered, first.tail, newest.as_ref(), checkers)?;
        let configuration = |entry: &Entry| {
            let configuration = Configuration::decode(entry.data.clone()).expect("written here");
            (entry.id.index, configuration)
        };
        let restored = Restored {
            hard_state: recovered.hard_state,
            start: recovered.start.id,
            terms: recovered.terms,
            last: recovered.last.index,
            last_time: recovered.last_time,
            configurations: recovered.configurations.iter().map(configuration).collect(),
            weights: wal.weights(64),
            snapshot: meta,
            receiving,
        };
        let raft = Raft::new(self.config(settings, seed), restored).expect("good settings");
        let host = self.host.clone();
        let making = Making { me: self.me, raft, wal, attached, snapshots, newest, host };
        self.running = Some(Box::new(Running::new(making, settings, &checkers.committed)?));
        (self.ticks, self.lost_power) = (0, false);
        (self.doubtful, self.unrepaired, self.witnessed_after) = (false, 0, 0);
        Ok(())
    }

    fn config(&self, settings: &Settings, seed: u64) -> raft::Config {
        let ticks = |value: u64| u32::try_from(value).expect("bounded by the settings");
        let many = |value: u64| usize::try_from(value).expect("bounded by the settings");
        raft::Config {
            election_ticks: ticks(settings.election_ticks),
            heartbeat_ticks: ticks(settings.heartbeat_ticks),
            append_entries_max: settings.append_entries_max,
            inflight_appends_max: many(settings.inflight_appends_max),
            snapshot_chunk_bytes: settings.snapshot_chunk_bytes,
            snapshot_inflight_bytes_max: settings.snapshot_chunk_bytes * 3,
            install_log_bytes_max: settings.install_log_bytes_max,
            pre_vote: if settings.pre_vote == 1 { Switch::On } else { Switch::Off },
            stalled_write_ticks: ticks(settings.election_ticks * 6),
            tick_millis: settings.tick / 1_000,
            clock_drift_permille: settings.drift,
            ..raft::Config::new(self.me, Boot(self.boots), seed)
        }
    }

    /// Compares what is found with what was written, and takes it for what is there.
    fn look_at(
        &mut self,
        wal: &Wal,
        recovered: &Recovered,
        tail: Tail,
        newest: Option<&Snapshot>,
        checkers: &Checkers,
    ) -> Result<(), Stop> {
        let start = recovered.start.id;
        let mut found = Shadow::default();
        let chain =
            self.shadow.chain(start.index).or_else(|| checkers.committed.chain(start.index));
        let chain = chain.unwrap_or_default();
        found.restore(start, chain, recovered.hard_state);
        for index in (start.index.0 + 1..=recovered.last.index.0).map(Index) {
            let mut entry = wal.entry(index).map_err(|error| self.opening(error))?;
            said::own(&mut entry);
            found.push(entry);
        }
        found.restored();
        durable::finds(self.me, &self.shadow, &found)?;
        if !self.doubtful {
            let crash = if self.lost_power { Crash::PowerCut } else { Crash::Kill };
            durable::was_written(self.me, &self.shadow, &found, (crash, tail))?;
        }
        // A snapshot that was durable before its entries were replaces them.
        if let Some(last) = newest.map(|snapshot| snapshot.meta.last)
            && last.index > start.index
            && found.entry(last.index).is_none_or(|entry| entry.id != last)
        {
            let chain = checkers.committed.chain(last.index).unwrap_or_default();
            found.replace(last, chain);
        }
        self.shadow = found;
        Ok(())
    }

    /// What an error means when a log or a snapshot is opened.
    fn opening(&self, error: Error) -> Stop {
        let says = error.to_string();
        match error {
            Error::Io { .. } | Error::Full { .. } | Error::Sync { .. } => Stop::of_disk(&error),
            _ if !self.doubtful => {
                let broken = ensure(Holds::No, "what a crash leaves can be opened", || {
                    format!("{}: {says}", self.me)
                });
                Stop::Broken(broken.expect_err("it does not hold"))
            }
            Error::Damaged { .. } => Stop::Damaged(says),
            _ => Stop::Lost(says),
        }
    }

    /// Gives up what is damaged where the own newest snapshot covers it, as the node does before it
    /// asks anybody; says whether it did.
    pub(in crate::core_world) fn give_up_damage(
        &mut self,
        settings: &Settings,
        checkers: &Checkers,
    ) -> Result<bool, Stop> {
        let disk = self.disk.attach();
        let opened = Snapshots::open(Arc::clone(&disk));
        let (_, newest, _) = opened.map_err(|error| self.opening(error))?;
        let Some(newest) = newest else { return Ok(false) };
        let start = LogStart { id: newest.meta.last, time: newest.meta.time };
        let me = self.me;
        let is_mine = |identity: Identity| identity.member == me;
        let given_up = Wal::give_up_damage(&disk, options(settings), start, is_mine);
        let given_up = given_up.map_err(|error| self.opening(error))?;
        // What it asked of its disk is nobody's any more.
        self.jobs.lock().expect("nobody panicked").clear();
        let last = self.shadow.entry(start.id.index).map(|entry| entry.id);
        if given_up && start.id.index > self.shadow.start.index && last != Some(start.id) {
            // Entries of another history than the snapshot's are not kept (§7).
            let chain = checkers.committed.chain(start.id.index).unwrap_or_default();
            self.shadow.restore(start.id, chain, self.shadow.hard_state);
            self.shadow.restored();
        }
        Ok(given_up)
    }

    /// Fills the first damaged place with what the others hold: those entries and the entry before
    /// them, of each that runs, and up to where its leader knows all to be committed.
    pub(in crate::core_world) fn repair(&mut self, offers: &[Offer<'_>]) -> Result<(), Stop> {
        let disk = self.disk.attach();
        let damage = |error: Error| Stop::Lost(error.to_string());
        let Some(missing) = Wal::damage(&*disk).map_err(damage)?.map(|damage| damage.missing())
        else {
            return Ok(());
        };
        for offer in offers {
            let Some(before) = offer.id(missing.start().prev()) else { continue };
            let held = offer.log.entries(*missing.start(), *missing.end());
            let entries: Vec<Entry> = held.cloned().collect();
            if entries.last().is_none_or(|entry| entry.id.index != *missing.end()) {
                continue;
            }
            let mut proofs = vec![Proof::Same];
            if offer.committed.is_some_and(|committed| committed >= *missing.end()) {
                proofs.push(Proof::Committed { before });
            }
            for proof in proofs {
                let Some(repair) = Wal::damage(&*disk).map_err(damage)? else { return Ok(()) };
                if repair.fill(&entries, proof).is_ok() {
                    self.unrepaired = 0;
                    return Ok(());
                }
            }
        }
        self.unrepaired += 1;
        if self.unrepaired > REPAIRS_MAX {
            return Err(Stop::Lost("nobody has the damaged entries".to_owned()));
        }
        Err(Stop::Disk("nobody has offered the damaged entries yet".to_owned()))
    }
}

/// After so many rounds in which nobody had what is missing a disk counts as lost.
const REPAIRS_MAX: u32 = 10;

/// What a member can offer to repair another's log.
pub(in crate::core_world) struct Offer<'a> {
    pub(in crate::core_world) log: &'a Shadow,
    /// Up to where the current leader says that all is committed.
    pub(in crate::core_world) committed: Option<Index>,
}

impl Offer<'_> {
    fn id(&self, index: Index) -> Option<EntryId> {
        if index == self.log.start.index {
            return Some(self.log.start);
        }
        self.log.entry(index).map(|entry| entry.id)
    }
}
