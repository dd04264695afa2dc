//! Whatever is written, the log and what a reopening finds are what a plain `Vec` would hold.

use bytes::Bytes;
use holm_raft_core::{Entry, EntryId, EntryKind, HardState, Index, LogTime, Term, WriteNumber};
use holm_wal::{Batch, Disk, Error, Identity, LogStart, MemoryDisk, Options, Wal};
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Step {
    Append {
        lengths: Vec<usize>,
        term_step: u64,
    },
    HardState,
    /// At so many hundredths of the log.
    Truncate(u64),
    Compact(u64),
    /// Beyond the log by so many.
    Install(u64),
    Sync,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (proptest::collection::vec(0_usize..700, 0..6), 0_u64..2)
            .prop_map(|(lengths, term_step)| Step::Append { lengths, term_step }),
        1 => Just(Step::HardState),
        1 => (0_u64..100).prop_map(Step::Truncate),
        1 => (0_u64..100).prop_map(Step::Compact),
        1 => (1_u64..9).prop_map(Step::Install),
        2 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}

struct Checked {
    disk: Arc<dyn Disk>,
    wal: Wal,
    hard_state: HardState,
    start: LogStart,
    entries: Vec<Entry>,
}

impl Checked {
    const OPTIONS: Options = Options { segment_bytes: 1024 };

    fn new() -> Self {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let mut wal =
            Wal::create(disk.clone(), Self::OPTIONS, Identity::default()).expect("created");
        wal.keep_footers();
        let (hard_state, start) = Default::default();
        Self { disk, wal, hard_state, start, entries: Vec::new() }
    }

    fn last(&self) -> EntryId {
        self.entries.last().map_or(self.start.id, |entry| entry.id)
    }

    fn at(&self, hundredths: u64) -> Option<usize> {
        let length = self.entries.len() as u64;
        (length > 0).then(|| usize::try_from(length * hundredths / 100).expect("small"))
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Append { lengths, term_step } => {
                let term = Term(self.last().term.0.max(1) + term_step);
                let from = self.entries.len();
                for length in lengths {
                    let id = EntryId::new(term, self.last().index.next());
                    let data = Bytes::from(vec![7; *length]);
                    let (kind, time) = (EntryKind::Command, LogTime(id.index.0));
                    self.entries.push(Entry { id, time, kind, data });
                }
                let entries = self.entries[from..].to_vec();
                self.append(&Batch { entries: &entries, ..Batch::default() });
            }
            Step::HardState => {
                self.hard_state.term = self.hard_state.term.next();
                let hard_state = Some(self.hard_state);
                self.append(&Batch { hard_state, ..Batch::default() });
            }
            Step::Truncate(at) => {
                let Some(at) = self.at(*at) else { return };
                let truncate = Some(self.entries[at].id.index);
                self.entries.truncate(at);
                self.append(&Batch { truncate, ..Batch::default() });
            }
            Step::Compact(at) => {
                let Some(at) = self.at(*at) else { return };
                let entry = &self.entries[at];
                self.start = LogStart { id: entry.id, time: entry.time };
                self.entries.drain(..=at);
                self.append(&Batch { compact: Some(self.start), ..Batch::default() });
            }
            Step::Install(beyond) => {
                let index = Index(self.last().index.0 + beyond);
                self.start =
                    LogStart { id: EntryId::new(self.last().term.next(), index), time: LogTime(3) };
                self.entries.clear();
                self.append(&Batch { compact: Some(self.start), ..Batch::default() });
            }
            Step::Sync => self.sync(),
            Step::Reopen => {
                let (wal, recovered) =
                    Wal::open(self.disk.clone(), Self::OPTIONS).expect("it is sound");
                assert_eq!((recovered.start, &recovered.torn), (self.start, &None));
                assert_eq!(recovered.hard_state, self.hard_state);
                drop(wal);
                let (fast, by_footers) =
                    Wal::open_fast(self.disk.clone(), Self::OPTIONS).expect("it is sound");
                assert_eq!(by_footers, recovered);
                self.wal = fast;
            }
        }
    }

    fn append(&mut self, batch: &Batch<'_>) {
        let before = self.wal.append(&Batch::default()).expect("written");
        let number = self.wal.append(batch).expect("written");
        assert_eq!(number, WriteNumber(before.0 + 1));
    }

    fn sync(&mut self) {
        let written = self.wal.append(&Batch::default()).expect("written");
        while let Some(job) = self.wal.begin_sync() {
            assert!(self.wal.begin_sync().is_none(), "one at a time");
            let durable = self.wal.finish_sync(job.into_job()()).expect("synced");
            assert_eq!((durable, self.wal.durable()), (written, written));
        }
    }

    fn check(&self) {
        assert_eq!((self.wal.last(), self.wal.start()), (self.last(), self.start));
        let first = self.start.id.index.next();
        assert_eq!(self.wal.term(self.start.id.index), Some(self.start.id.term));
        assert_eq!(self.wal.term(self.last().index.next()), None);
        for entry in &self.entries {
            assert_eq!(self.wal.term(entry.id.index), Some(entry.id.term));
            assert_eq!(&self.wal.entry(entry.id.index).expect("held"), entry);
        }
        for bytes_max in [0, 500, 5_000, u64::MAX] {
            let Some(last) = self.entries.last() else { break };
            let found = self.wal.entries(first..=last.id.index, bytes_max).expect("held");
            let mut room = bytes_max;
            let fit = self.entries.iter().take_while(|entry| {
                let fits = entry.weight() <= room;
                room = room.saturating_sub(entry.weight());
                fits
            });
            assert_eq!(found[..], self.entries[..fit.count().max(1)]);
        }
        self.check_weights();
        let not_held = self.wal.entry(self.last().index.next());
        assert!(matches!(not_held, Err(Error::NotHeld { .. })));
        assert!(matches!(self.wal.entry(self.start.id.index), Err(Error::NotHeld { .. })));
    }

    fn check_weights(&self) {
        let sums: Vec<(Index, u64)> = self
            .entries
            .iter()
            .scan(0, |sum, entry| {
                *sum += entry.weight();
                Some((entry.id.index, *sum))
            })
            .collect();
        assert_eq!(self.wal.weights(usize::MAX), sums);
        let some = self.wal.weights(3);
        assert!(some.len() <= 3 && some.last() == sums.last());
        assert!(some.iter().all(|mark| sums.contains(mark)));
    }
}

proptest! {
    #[test]
    fn the_log_is_what_a_vec_would_be(steps in proptest::collection::vec(step(), 0..60)) {
        let mut checked = Checked::new();
        for step in &steps {
            checked.apply(step);
            checked.check();
        }
    }
}

#[test]
fn compaction_frees_segments_once_it_is_durable_and_not_before() {
    let mut checked = Checked::new();
    checked.apply(&Step::Append { lengths: vec![600; 9], term_step: 0 });
    checked.sync();
    let segments = |checked: &Checked| {
        let names = checked.disk.list().expect("listed");
        names.iter().filter(|name| name.starts_with("segment-")).count()
    };
    let before = (checked.wal.bytes(), segments(&checked));
    checked.apply(&Step::Compact(99));
    assert_eq!(segments(&checked), before.1, "nothing goes before the compaction is durable");
    checked.sync();
    assert!(checked.wal.bytes() < before.0 / 4);
    assert_eq!((before.1, segments(&checked)), (9, 1));
    checked.apply(&Step::Reopen);
    checked.check();
}

#[test]
fn entries_that_do_not_fit_are_refused_with_the_limit_and_those_that_just_fit_are_not() {
    let mut checked = Checked::new();
    let fits = usize::try_from(Checked::OPTIONS.entry_bytes_max()).expect("small");
    checked.apply(&Step::Append { lengths: vec![fits, fits], term_step: 0 });
    checked.check();
    let id = EntryId::new(Term(1), Index(3));
    let (time, kind) = (LogTime(0), EntryKind::Command);
    let entry = Entry { id, time, kind, data: vec![0; fits + 1].into() };
    let result = checked.wal.append(&Batch { entries: &[entry], ..Batch::default() });
    let Err(Error::TooLarge { bytes, bytes_max }) = result else { panic!("{result:?}") };
    assert_eq!((bytes, bytes_max), (fits as u64 + 1, fits as u64));
    checked.check();
}

#[test]
#[should_panic(expected = "an entry does not follow on the one before it")]
fn an_entry_that_does_not_follow_on_is_a_broken_invariant() {
    let id = EntryId::new(Term(1), Index(2));
    let (time, kind) = (LogTime(0), EntryKind::Noop);
    let entries = [Entry { id, time, kind, data: Bytes::new() }];
    let _ = Checked::new().wal.append(&Batch { entries: &entries, ..Batch::default() });
}

#[test]
fn a_segment_size_out_of_bounds_is_named() {
    for segment_bytes in [0, 512, 1025, (1 << 30) + 512] {
        let disk = Arc::new(MemoryDisk::new());
        let result = Wal::create(disk, Options { segment_bytes }, Identity::default());
        assert!(matches!(result, Err(Error::SegmentBytes { found, .. }) if found == segment_bytes));
    }
}

#[test]
fn a_log_and_its_jobs_may_move_between_threads() {
    fn sent<T: Send>() {}
    sent::<(Wal, holm_wal::SyncJob, holm_wal::Snapshots, Arc<dyn Disk>, Arc<dyn holm_wal::File>)>();
}
