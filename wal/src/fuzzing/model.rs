//! What a log should hold: `Model`, as plainly as can be, and `History`, the states that a log goes
//! through and which of them is the last one that was acknowledged.

use super::crash::{Choices, Queue, next_job};
use crate::append::Batch;
use crate::disk::Job;
use crate::error::Error;
use crate::wal::Wal;
use holm_raft_core::{
    Entry, EntryId, EntryKind, HardState, Incarnation, Index, LogStart, LogTime, MemberId, NodeId,
    Term, WriteNumber,
};
use std::collections::VecDeque;
use std::io;

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) hard_state: HardState,
    pub(super) start: LogStart,
    pub(super) entries: Vec<Entry>,
}

impl Model {
    pub(super) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.start.id, |entry| entry.id)
    }

    fn compact(&mut self, start: LogStart) {
        let held = self.entries.iter().any(|entry| entry.id == start.id);
        self.entries.retain(|entry| held && entry.id.index > start.id.index);
        self.start = start;
    }

    pub(super) fn of(wal: &Wal) -> Result<Self, Error> {
        let (start, last) = (wal.start(), wal.last());
        let entries = if last == start.id {
            Vec::new()
        } else {
            wal.entries(start.id.index.next()..=last.index, u64::MAX)?
        };
        Ok(Self { hard_state: wal.hard_state(), start, entries })
    }
}

/// A sync, as far as it has got.
enum Sync {
    Begun(Job),
    Ran(io::Result<()>),
}

/// What one batch says.
#[derive(Default)]
struct Said {
    hard_state: Option<HardState>,
    compact: Option<LogStart>,
    truncate: Option<Index>,
    entries: Vec<Entry>,
}

/// What may be found after a cut.
pub(super) struct History {
    states: Vec<Model>,
    acknowledged: usize,
    /// The state that each write number stands for, from 0.
    numbers: Vec<usize>,
    sync: Option<Sync>,
    /// Entries that were read, next to what they should say for as long as they are held.
    held: VecDeque<(Entry, Entry)>,
}

impl History {
    pub(super) fn new(model: Model) -> Self {
        Self {
            states: vec![model],
            acknowledged: 0,
            numbers: vec![0],
            sync: None,
            held: VecDeque::new(),
        }
    }

    fn now(&self) -> &Model {
        self.states.last().expect("never empty")
    }

    /// How many entries the last acknowledged state has.
    pub(super) fn acknowledged_entries(&self) -> u64 {
        self.states[self.acknowledged].entries.len() as u64
    }

    /// Whether all that was written is acknowledged.
    pub(super) fn is_at_rest(&self) -> bool {
        self.acknowledged + 1 == self.states.len()
    }

    /// Compares what was recovered with what may be.
    pub(super) fn judge(&self, found: &Model) -> Result<(), String> {
        if self.states[self.acknowledged..].contains(found) {
            return Ok(());
        }
        let was = self.states.iter().rposition(|state| state == found);
        let (all, acknowledged) = (self.states.len(), self.acknowledged);
        Err(format!("state {was:?} of {all} is back after {acknowledged} was acknowledged"))
    }

    pub(super) fn check_held(&self) -> Result<(), String> {
        let changed = self.held.iter().find(|(read, was)| read != was);
        changed.map_or(Ok(()), |(_, was)| Err(format!("{} changed under its reader", was.id)))
    }

    /// Writes, syncs, reads, or lets the disk do one of its jobs.
    pub(super) fn step(
        &mut self,
        wal: &mut Wal,
        choices: &mut Choices<'_>,
        queue: &Queue,
    ) -> Result<(), Error> {
        match choices.below(10) {
            0..=3 => self.write(wal, choices)?,
            4 | 5 => {
                if self.sync.is_none() {
                    self.sync = wal.begin_sync().map(|job| Sync::Begun(job.into_job()));
                }
            }
            6 => self.sync = self.sync.take().map(Sync::run),
            7 => {
                if let Some(sync) = self.sync.take()
                    && let Sync::Ran(result) = sync.run()
                {
                    let number = wal.finish_sync(result)?;
                    self.acknowledge(number);
                }
            }
            8 => self.read(wal, choices)?,
            _ => {
                if let Some(job) = next_job(queue) {
                    job();
                }
            }
        }
        self.acknowledge(wal.durable());
        Ok(())
    }

    fn acknowledge(&mut self, number: WriteNumber) {
        let number = usize::try_from(number.0).expect("few");
        self.acknowledged = self.acknowledged.max(self.numbers[number]);
    }

    fn read(&mut self, wal: &Wal, choices: &mut Choices<'_>) -> Result<(), Error> {
        if choices.below(2) == 0 {
            self.held.pop_front();
        }
        let entries = &self.now().entries;
        let at = usize::try_from(choices.below(256)).expect("a byte");
        let Some(expected) = entries.get(at % entries.len().max(1)).cloned() else { return Ok(()) };
        let read = wal.entry(expected.id.index)?;
        assert_eq!(read, expected, "what was written is read");
        self.held.push_back((read, expected));
        Ok(())
    }

    fn write(&mut self, wal: &mut Wal, choices: &mut Choices<'_>) -> Result<(), Error> {
        let before = self.states.len();
        let said = self.say(choices);
        let batch = Batch {
            hard_state: said.hard_state,
            compact: said.compact,
            truncate: said.truncate,
            entries: &said.entries,
        };
        match wal.append(&batch) {
            Ok(number) => {
                assert_eq!(number.0, self.numbers.len() as u64);
                self.numbers.push(self.states.len() - 1);
                Ok(())
            }
            Err(Error::Full { .. }) => {
                // Nothing of it is to be seen, and the log goes on.
                self.states.truncate(before);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// One batch, with the state after each of its records among the states.
    fn say(&mut self, choices: &mut Choices<'_>) -> Said {
        let mut model = self.now().clone();
        let mut said = Said::default();
        if choices.below(3) == 0 {
            let voter = MemberId::new(NodeId(choices.below(3)), Incarnation(1));
            let vote = (choices.below(2) == 0).then_some(voter);
            model.hard_state = HardState { term: model.hard_state.term.next(), vote };
            said.hard_state = Some(model.hard_state);
            self.states.push(model.clone());
        }
        said.compact = compaction(&model, choices);
        if let Some(start) = said.compact {
            model.compact(start);
            self.states.push(model.clone());
        }
        let length = model.entries.len();
        if length > 0 && choices.below(4) == 0 {
            let keep = usize::try_from(choices.below(256)).expect("a byte") % length;
            said.truncate = Some(model.entries[keep].id.index);
            model.entries.truncate(keep);
            self.states.push(model.clone());
        }
        for _ in 0..choices.below(4) {
            let last = model.last();
            let term = last.term.max(model.hard_state.term).max(Term(1));
            let id = EntryId::new(Term(term.0 + choices.below(2)), last.index.next());
            // A few sizes only, so that what was lost and what replaces it often end alike.
            let length = usize::try_from(choices.below(3) * 130).expect("small");
            let byte = u8::try_from(choices.below(256)).expect("a byte");
            let kind = match choices.below(5) {
                1 => EntryKind::Configuration,
                _ => EntryKind::Command,
            };
            let time = LogTime(last.index.0 * 10);
            let entry = Entry { id, time, kind, data: vec![byte; length].into() };
            said.entries.push(entry.clone());
            model.entries.push(entry);
            self.states.push(model.clone());
        }
        said
    }
}

impl Sync {
    fn run(self) -> Self {
        match self {
            Self::Begun(job) => Self::Ran(job()),
            ran @ Self::Ran(_) => ran,
        }
    }
}

fn compaction(model: &Model, choices: &mut Choices<'_>) -> Option<LogStart> {
    if choices.below(6) != 1 {
        return None;
    }
    let length = model.entries.len();
    let at = usize::try_from(choices.below(256)).expect("a byte");
    let mut start = model.start;
    if choices.below(4) == 0 {
        // A snapshot from elsewhere: beyond the log, or beside it.
        let beyond = u64::try_from(at % (length + 5)).expect("small");
        let index = Index(model.start.id.index.0 + 1 + beyond);
        start.id = EntryId::new(model.hard_state.term.next(), index);
    } else if length > 0 {
        let entry = &model.entries[at % length];
        start = LogStart { id: entry.id, time: entry.time };
    }
    (start != model.start).then_some(start)
}
