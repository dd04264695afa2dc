//! The disk is cut after each single operation of random histories, and what is recovered is
//! compared with a model: everything acknowledged is there, nothing comes back that was durably
//! dropped, recovering twice is recovering once, and so it stays when the log goes on after the
//! recovery and is cut again. Each kind of lying sync makes the same comparison fail.

use holm_raft_core::{
    Entry, EntryId, EntryKind, HardState, Incarnation, Index, LogTime, MemberId, NodeId, Term,
};
use holm_wal::{Batch, Disk, Error, Identity, Lie, LogStart, Options, SimDisk, SyncJob, Wal};
use std::sync::Arc;

const OPTIONS: Options = Options { segment_bytes: 1024 };

/// What a log holds, as plainly as can be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    hard_state: HardState,
    start: LogStart,
    entries: Vec<Entry>,
}

impl Model {
    fn last(&self) -> EntryId {
        self.entries.last().map_or(self.start.id, |entry| entry.id)
    }

    fn compact(&mut self, start: LogStart) {
        let held = self.entries.iter().any(|entry| entry.id == start.id);
        self.entries.retain(|entry| held && entry.id.index > start.id.index);
        self.start = start;
    }

    fn of(wal: &Wal) -> Result<Self, Error> {
        let (start, last) = (wal.start(), wal.last());
        let entries = if last == start.id {
            Vec::new()
        } else {
            wal.entries(start.id.index.next()..=last.index, u64::MAX)?
        };
        Ok(Self { hard_state: wal.hard_state(), start, entries })
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

/// What may be found after a cut: the states that the log went through, and which of them is the
/// last one that was acknowledged.
struct History {
    random: Random,
    states: Vec<Model>,
    acknowledged: usize,
    /// The state that each write number stands for, from 0.
    numbers: Vec<usize>,
}

impl History {
    fn new(seed: u64, model: Model) -> Self {
        Self { random: Random(seed), states: vec![model], acknowledged: 0, numbers: vec![0] }
    }

    fn now(&self) -> &Model {
        self.states.last().expect("never empty")
    }

    /// One random batch: what it says, with the state after each of its records.
    fn batch(&mut self) -> (Option<HardState>, Option<LogStart>, Option<Index>, Vec<Entry>) {
        let mut model = self.now().clone();
        let mut hard_state = None;
        if self.random.below(3) == 0 {
            let voter = MemberId::new(NodeId(self.random.below(3)), Incarnation(1));
            let vote = (self.random.below(2) == 0).then_some(voter);
            model.hard_state = HardState { term: model.hard_state.term.next(), vote };
            hard_state = Some(model.hard_state);
            self.states.push(model.clone());
        }
        let mut compact = None;
        let length = model.entries.len() as u64;
        if self.random.below(6) == 0 {
            let mut start = model.start;
            if self.random.below(4) == 0 {
                // A snapshot from elsewhere: beyond the log, or beside it.
                let index = Index(model.start.id.index.0 + 1 + self.random.below(length + 5));
                start.id = EntryId::new(model.hard_state.term.next(), index);
            } else if length > 0 {
                let at = usize::try_from(self.random.below(length)).expect("small");
                start = LogStart { id: model.entries[at].id, time: model.entries[at].time };
            }
            if start != model.start {
                compact = Some(start);
                model.compact(start);
                self.states.push(model.clone());
            }
        }
        let mut truncate = None;
        let length = model.entries.len() as u64;
        if length > 0 && self.random.below(4) == 0 {
            let keep = usize::try_from(self.random.below(length)).expect("small");
            truncate = Some(model.entries[keep].id.index);
            model.entries.truncate(keep);
            self.states.push(model.clone());
        }
        let mut entries = Vec::new();
        for _ in 0..self.random.below(4) {
            let last = model.last();
            let term = last.term.max(model.hard_state.term).max(Term(1));
            let id = EntryId::new(Term(term.0 + self.random.below(2)), last.index.next());
            // A few sizes only, so that what was lost and what replaces it often end alike.
            let length = usize::try_from(self.random.below(3) * 130).expect("small");
            let byte = u8::try_from(self.random.below(256)).expect("a byte");
            let kind = match self.random.below(5) {
                0 => EntryKind::Configuration,
                _ => EntryKind::Command,
            };
            let time = LogTime(last.index.0 * 10);
            let entry = Entry { id, time, kind, data: vec![byte; length].into() };
            entries.push(entry.clone());
            model.entries.push(entry);
            self.states.push(model.clone());
        }
        (hard_state, compact, truncate, entries)
    }

    /// Writes at random and syncs at random, with writes while a sync is under way, until the disk
    /// stops or the steps are done.
    fn run(&mut self, wal: &mut Wal, steps: u32) -> Result<(), Error> {
        let mut job: Option<SyncJob> = None;
        for _ in 0..steps {
            match self.random.below(4) {
                0 | 1 => {
                    let (hard_state, compact, truncate, entries) = self.batch();
                    let batch = Batch { hard_state, compact, truncate, entries: &entries };
                    let number = wal.append(&batch)?;
                    assert_eq!(number.0, self.numbers.len() as u64);
                    self.numbers.push(self.states.len() - 1);
                }
                2 => job = job.or_else(|| wal.begin_sync()),
                _ => {
                    if let Some(job) = job.take() {
                        let number = wal.finish_sync(job.into_job()())?;
                        let number = usize::try_from(number.0).expect("small");
                        self.acknowledged = self.numbers[number];
                    }
                }
            }
        }
        Ok(())
    }

    /// Compares what was recovered with what may be.
    fn judge(&self, found: &Model) -> Result<(), String> {
        if self.states[self.acknowledged..].contains(found) {
            return Ok(());
        }
        let was = self.states.iter().rposition(|state| state == found);
        Err(format!("state {was:?} of {} is back after {}", self.states.len(), self.acknowledged))
    }
}

fn open(disk: &SimDisk) -> Result<(Wal, Model), Error> {
    let (wal, recovered) = Wal::open(disk.attach(), OPTIONS)?;
    let model = Model::of(&wal)?;
    let configurations: Vec<_> =
        model.entries.iter().filter(|entry| entry.kind == EntryKind::Configuration).collect();
    assert_eq!(recovered.configurations.iter().collect::<Vec<_>>(), configurations);
    let mut runs = model.entries.clone();
    runs.dedup_by_key(|entry| entry.id.term);
    assert_eq!(recovered.terms, runs.iter().map(|entry| entry.id).collect::<Vec<_>>());
    let time = model.entries.last().map_or(model.start.time, |entry| entry.time);
    assert_eq!((recovered.last, recovered.last_time), (model.last(), time));
    Ok((wal, model))
}

/// One life after another on one disk: the first one is cut after `cut` operations, its recovery
/// somewhere, the next life somewhere again.
fn lives(seed: u64, cut: u64, lie: Lie) -> Result<Outcome, String> {
    let disk = SimDisk::new(seed ^ cut << 32, SimDisk::at_once());
    disk.set_lie(lie);
    let mut random = Random(seed.wrapping_mul(31) ^ cut);
    disk.stop_after(cut);
    let mut history = History::new(seed, Model::default());
    let mut whole = true;
    let created = Wal::create(disk.attach(), OPTIONS, Identity::default());
    let mut has_been = created.is_ok();
    if let Ok(mut wal) = created {
        whole = history.run(&mut wal, 40).is_ok();
    }
    for life in 0..3 {
        // The machine dies, or the process alone.
        if random.below(3) > 0 {
            disk.power_cut()
        } else {
            disk.kill()
        }
        let error = move |error: Error| format!("life {life}: {error}");
        if !Wal::exists(&*disk.attach()).map_err(error)? {
            // Cut off while it was made, before it was said to be.
            if has_been {
                return Err("the log is gone".to_owned());
            }
            Wal::create(disk.attach(), OPTIONS, Identity::default()).map_err(error)?;
            return Ok(Outcome::Cut);
        }
        // A recovery that is cut itself, and then one that is not.
        disk.stop_after(random.below(8));
        let first = open(&disk).map(|(_, model)| model);
        disk.power_cut();
        let (mut wal, found) = match open(&disk) {
            // Cut off before it was said to be, again.
            Err(Error::Absent) if !has_been => return Ok(Outcome::Cut),
            result => result.map_err(error)?,
        };
        has_been = true;
        history.judge(&found)?;
        if let Ok(first) = first {
            if first != found {
                eprintln!("seed {seed} cut {cut} life {life}");
                panic!();
            }
        }
        drop(wal);
        disk.power_cut();
        let again = open(&disk).map_err(error)?;
        assert_eq!(again.1, found, "recovery of a recovery is the same");
        wal = again.0;
        history = History::new(random.below(u64::MAX), found);
        disk.stop_after(disk.operations() + random.below(40));
        let _ = history.run(&mut wal, 30);
    }
    Ok(if whole { Outcome::Whole } else { Outcome::Cut })
}

#[derive(PartialEq, Eq)]
enum Outcome {
    /// The first life was cut before its end.
    Cut,
    /// The first life needed no more operations than it was allowed.
    Whole,
}

/// Every cut of a history; the first failure.
fn every_cut(seed: u64, lie: Lie) -> Result<u64, String> {
    let mut cut = 0;
    while lives(seed, cut, lie).map_err(|error| format!("seed {seed}, cut {cut}: {error}"))?
        == Outcome::Cut
    {
        cut += 1;
    }
    Ok(cut)
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_is_cut() {
    let mut cuts = 0;
    for seed in 0..100 {
        cuts += every_cut(seed, Lie::None).unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(cuts > 100 * 20, "histories are long enough to be worth cutting: {cuts}");
}

#[test]
fn with_syncs_that_do_nothing_acknowledged_entries_are_lost_and_the_test_sees_it() {
    for lie in [Lie::All, Lie::Files, Lie::Directory] {
        let caught = (0..20).filter(|seed| every_cut(*seed, lie).is_err()).count();
        assert!(caught > 10, "{lie:?} was caught in {caught} of 20 histories");
    }
}

#[test]
fn a_failed_sync_poisons_and_what_it_left_in_memory_alone_is_not_believed_after_a_restart() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
    let mut history = History::new(1, Model::default());
    while wal.last().index < Index(5) {
        let (hard_state, compact, truncate, entries) = history.batch();
        wal.append(&Batch { hard_state, compact, truncate, entries: &entries }).expect("written");
    }
    disk.fail_syncs(1);
    let job = wal.begin_sync().expect("something is unsynced").into_job();
    assert!(matches!(wal.finish_sync(job()), Err(Error::Sync { .. })));
    assert!(wal.begin_sync().is_none());
    assert!(matches!(wal.append(&Batch::default()), Err(Error::Poisoned)));
    drop(wal);
    // The process restarts, not the machine: all is still readable, and recovery says it is
    // durable. So it must have been written again.
    let (_, found) = open(&disk).expect("recovered");
    assert_eq!(&found, history.now());
    disk.power_cut();
    assert_eq!(open(&disk).expect("recovered").1, found);
}

#[test]
fn a_full_disk_refuses_a_batch_whole_and_the_log_goes_on_when_there_is_room() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
    disk.set_capacity(3 * OPTIONS.segment_bytes);
    let entries: Vec<Entry> = (1..=4)
        .map(|index| Entry {
            id: EntryId::new(Term(1), Index(index)),
            time: LogTime(0),
            kind: EntryKind::Command,
            data: vec![7; 600].into(),
        })
        .collect();
    let all = Batch { entries: &entries, ..Batch::default() };
    assert!(matches!(wal.append(&all), Err(Error::Full { bytes: 1024, .. })));
    assert_eq!(wal.last(), EntryId::ZERO);
    wal.append(&Batch { entries: &entries[..3], ..Batch::default() }).expect("these fit");
    disk.set_capacity(u64::MAX);
    wal.append(&Batch { entries: &entries[3..], ..Batch::default() }).expect("there is room");
    drop(wal);
    assert_eq!(open(&disk).expect("recovered").1.entries, entries);
}

#[test]
fn what_outlives_a_power_cut_can_not_write_to_the_disk_after_it() {
    let disk = SimDisk::new(1, SimDisk::at_once());
    let mut wal = Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("created");
    let old: Arc<dyn Disk> = disk.attach();
    wal.append(&Batch::default()).expect("written");
    let job = wal.begin_sync().expect("a write waits").into_job();
    disk.power_cut();
    assert!(old.create("ghost", 512).is_err() && old.list().is_err());
    old.run(job, Box::new(|_| panic!("nobody is there to be told")));
    let hard_state = Some(HardState { term: Term(9), vote: None });
    assert!(wal.append(&Batch { hard_state, ..Batch::default() }).is_err());
    assert_eq!(open(&disk).expect("recovered").1, Model::default());
}

#[test]
fn a_log_cut_off_while_it_is_made_is_none_at_all_or_an_empty_one() {
    let mut found = [0; 2];
    for seed in 0..100 {
        let disk = SimDisk::new(seed, SimDisk::at_once());
        disk.stop_after(seed % 6);
        let created = Wal::create(disk.attach(), OPTIONS, Identity::default()).is_ok();
        if seed % 7 == 0 {
            disk.kill()
        } else {
            disk.power_cut()
        }
        if Wal::exists(&*disk.attach()).expect("listed") {
            assert_eq!(open(&disk).expect("whole").1, Model::default());
            found[0] += 1;
        } else {
            assert!(!created, "it was said to be there");
            Wal::create(disk.attach(), OPTIONS, Identity::default()).expect("as if new");
            found[1] += 1;
        }
    }
    assert!(found.iter().all(|count| *count > 10), "{found:?}");
}
