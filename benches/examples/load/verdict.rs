//! What the recorded histories come to: [`Verdict`].

use crate::clients::Seen;
use holm_sim::checkers::linearizable::{self, Operation, What, culprit, search};
use std::fmt;

/// After so many steps a search is given up, and counts as one that failed.
const STEPS_MAX: u64 = 20_000_000;

/// Whether all histories can be explained.
#[derive(Default)]
pub(crate) struct Verdict {
    operations: u64,
    answered: u64,
    names: u64,
    longest: usize,
    undecided: Vec<u64>,
    wrong: Vec<(u64, Option<Operation>, usize)>,
}

pub(crate) fn of(seen: &Seen) -> Verdict {
    let (operations, answered) = seen.history.counts();
    let mut verdict = Verdict { operations, answered, ..Verdict::default() };
    for (name, operations) in seen.history.keys() {
        verdict.names += 1;
        verdict.longest = verdict.longest.max(operations.len());
        match search(operations, STEPS_MAX) {
            linearizable::Verdict::Possible => {}
            linearizable::Verdict::Unknown => verdict.undecided.push(name),
            linearizable::Verdict::Impossible { .. } => {
                let which = culprit(operations, STEPS_MAX);
                verdict.wrong.push((name, which, operations.len()));
            }
        }
    }
    verdict
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.undecided.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, answered, names, longest, .. } = self;
        writeln!(
            f,
            "{operations} operations on {names} names, {answered} answered; the longest history \
             has {longest}"
        )?;
        for name in &self.undecided {
            writeln!(f, "UNDECIDED: the history of load-{name} takes too long to search")?;
        }
        for (name, which, count) in &self.wrong {
            writeln!(f, "NOT LINEARIZABLE: load-{name}, {count} operations")?;
            if let Some(Operation { what, begun, ended: Some((ended, answer)) }) = which {
                let answer = match what {
                    What::Set(_) => "done".into(),
                    What::Clear if *answer == 0 => "nothing there".into(),
                    What::Clear => "removed".into(),
                    What::Put(_) | What::Add(_) | What::Read => answer.to_string(),
                };
                writeln!(
                    f,
                    "  can't be explained: {what:?}, begun as event {begun}, answered as event \
                     {ended}: {answer}"
                )?;
            }
        }
        let all = if self.is_good() { "every history can be explained" } else { "FAILED" };
        f.write_str(all)
    }
}
