//! Linearizability (Herlihy and Wing 1990), by key, over what clients saw: `History` has when each
//! operation began and ended, and `check` searches for an order in which they make sense (Wing and
//! Gong 1993, with the memory of Lowe 2017: a set of operations done and a state is looked at
//! once).
//! An operation that nobody answered may have taken effect at any time, or never.

use super::{Check, Violation};
use std::collections::{BTreeMap, BTreeSet};

/// An operation on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What was asked for.
    pub what: What,
    /// When it began, counted over all operations.
    pub begun: u64,
    /// When it ended, and what was answered.
    pub ended: Option<(u64, u64)>,
}

/// What an operation does to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Sets it; the answer is what it was.
    Put(u64),
    /// Adds to it; the answer is what it is then.
    Add(u64),
    /// Sets it to something that is not 0; the answer is 0, whatever it was.
    Set(u64),
    /// Sets it to 0; the answer is 1, or 0 if it was 0 already.
    Clear,
    /// Reads it.
    Read,
}

/// What clients saw, by key.
#[derive(Clone, Debug, Default)]
pub struct History {
    keys: BTreeMap<u64, Vec<Operation>>,
    moments: u64,
}

/// An operation in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    key: u64,
    at: usize,
}

impl History {
    /// The checker's name.
    pub const NAME: &str = "linearizability";

    /// A client begins.
    pub fn begin(&mut self, key: u64, what: What) -> Handle {
        self.moments += 1;
        let operations = self.keys.entry(key).or_default();
        operations.push(Operation { what, begun: self.moments, ended: None });
        Handle { key, at: operations.len() - 1 }
    }

    /// A client is answered.
    ///
    /// # Panics
    /// If the handle is of another history.
    pub fn end(&mut self, handle: Handle, answer: u64) {
        self.moments += 1;
        let operations = self.keys.get_mut(&handle.key).expect("a handle of this history");
        operations[handle.at].ended = Some((self.moments, answer));
    }

    /// How many operations there are, and how many of them were answered.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let all = self.keys.values().flatten();
        let (count, answered) = all.fold((0, 0), |(count, answered), operation| {
            (count + 1, answered + u64::from(operation.ended.is_some()))
        });
        (count, answered)
    }

    /// The operations on each key, as they began.
    pub fn keys(&self) -> impl Iterator<Item = (u64, &[Operation])> {
        self.keys.iter().map(|(key, operations)| (*key, &operations[..]))
    }

    /// Whether there is an order for each key.
    ///
    /// # Errors
    /// If there is none for one.
    pub fn check(&self) -> Check {
        for (key, operations) in &self.keys {
            if let Verdict::Impossible { longest } = search(operations, STEPS_MAX) {
                let says = format!(
                    "no order explains what clients saw of key {key}: {} operations, {longest} of \
                     them at most",
                    operations.len()
                );
                return Err(Violation { checker: Self::NAME, says });
            }
        }
        Ok(())
    }
}

/// After so many steps a search is given up: nothing is said then.
const STEPS_MAX: u64 = 2_000_000;

/// What a search comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order.
    Possible,
    /// There is none: so many operations can be put into one at most.
    Impossible {
        /// How many.
        longest: usize,
    },
    /// It took too long to say.
    Unknown,
}

/// The operation that can't be explained: the one whose answer, of all answers in the order in
/// which they came, is the first that no order allows. `None` if all are allowed, or it takes too
/// long to say.
#[must_use]
pub fn culprit(operations: &[Operation], steps_max: u64) -> Option<Operation> {
    let mut ends: Vec<u64> = operations.iter().filter_map(|one| Some(one.ended?.0)).collect();
    ends.sort_unstable();
    // What was known after so many answers.
    let known = |answers: usize| {
        let now = ends[answers - 1];
        let begun = operations.iter().filter(|operation| operation.begun < now);
        let at_that_time = |one: &Operation| Operation {
            ended: one.ended.filter(|(ended, _)| *ended <= now),
            ..*one
        };
        search(&begun.map(at_that_time).collect::<Vec<_>>(), steps_max)
    };
    let (mut possible, mut impossible) = (0, ends.len());
    if impossible == 0 || !matches!(known(impossible), Verdict::Impossible { .. }) {
        return None;
    }
    while possible + 1 < impossible {
        let middle = possible.midpoint(impossible);
        match known(middle) {
            Verdict::Possible => possible = middle,
            Verdict::Impossible { .. } => impossible = middle,
            Verdict::Unknown => return None,
        }
    }
    let end = ends[impossible - 1];
    operations.iter().find(|one| one.ended.is_some_and(|(ended, _)| ended == end)).copied()
}

/// Which operations are done, a bit each.
type Done = Vec<u64>;

/// Searches for an order of operations on a number that is 0 at first.
#[must_use]
pub fn search(operations: &[Operation], steps_max: u64) -> Verdict {
    // A read that nobody was told the answer of says nothing.
    let told = |operation: &&Operation| operation.what != What::Read || operation.ended.is_some();
    let mut sorted: Vec<Operation> = operations.iter().filter(told).copied().collect();
    sorted.sort_by_key(|operation| operation.begun);
    let answered = sorted.iter().filter(|operation| operation.ended.is_some()).count();
    let mut done: Done = vec![0; sorted.len().div_ceil(64)];
    let mut seen: BTreeSet<(Done, u64)> = BTreeSet::new();
    let (mut state, mut steps, mut longest, mut ended) = (0, 0, 0, 0);
    // What was put into the order, with the state before it.
    let mut order: Vec<(usize, u64)> = Vec::new();
    let mut next = 0;
    loop {
        if ended == answered {
            return Verdict::Possible;
        }
        steps += 1;
        if steps > steps_max {
            return Verdict::Unknown;
        }
        match candidate(&sorted, &done, state, next) {
            Some((at, after)) => {
                set(&mut done, at);
                if seen.insert((done.clone(), after)) {
                    order.push((at, state));
                    ended += usize::from(sorted[at].ended.is_some());
                    longest = longest.max(order.len());
                    state = after;
                    next = 0;
                } else {
                    clear(&mut done, at);
                    next = at + 1;
                }
            }
            None => {
                let Some((at, before)) = order.pop() else {
                    return Verdict::Impossible { longest };
                };
                clear(&mut done, at);
                ended -= usize::from(sorted[at].ended.is_some());
                state = before;
                next = at + 1;
            }
        }
    }
}

/// The first operation from `next` on that may come now, and the state after it.
fn candidate(sorted: &[Operation], done: &Done, state: u64, next: usize) -> Option<(usize, u64)> {
    let mut first_end = u64::MAX;
    // Long histories are done from their beginning on.
    let whole = done.iter().take_while(|word| **word == u64::MAX).count() * 64;
    for (at, operation) in sorted.iter().enumerate().skip(whole) {
        if is_set(done, at) {
            continue;
        }
        // Whatever began after another ended comes after it.
        if operation.begun > first_end {
            return None;
        }
        if let Some((end, _)) = operation.ended {
            first_end = first_end.min(end);
        }
        if at < next {
            continue;
        }
        let (after, answer) = match operation.what {
            What::Put(value) => (value, state),
            What::Add(value) => (state.wrapping_add(value), state.wrapping_add(value)),
            What::Set(value) => (value, 0),
            What::Clear => (0, u64::from(state != 0)),
            What::Read => (state, state),
        };
        if operation.ended.is_none_or(|(_, told)| told == answer) {
            return Some((at, after));
        }
    }
    None
}

fn is_set(done: &Done, at: usize) -> bool {
    done[at / 64] & (1 << (at % 64)) != 0
}

fn set(done: &mut Done, at: usize) {
    done[at / 64] |= 1 << (at % 64);
}

fn clear(done: &mut Done, at: usize) {
    done[at / 64] &= !(1 << (at % 64));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operations as (what, begun, ended, answer).
    fn verdict(operations: &[(What, u64, u64, u64)]) -> Verdict {
        let operation = |(what, begun, ended, answer): &(What, u64, u64, u64)| Operation {
            what: *what,
            begun: *begun,
            ended: (*ended < u64::MAX).then_some((*ended, *answer)),
        };
        search(&operations.iter().map(operation).collect::<Vec<_>>(), 100_000)
    }

    const NEVER: u64 = u64::MAX;

    #[test]
    fn what_can_be_ordered_is_ordered() {
        use What::{Add, Clear, Put, Read, Set};
        for history in [
            &[][..],
            &[(Put(5), 1, 2, 0), (Read, 3, 4, 5)],
            // Two at once, seen in either order.
            &[(Put(5), 1, 4, 7), (Put(7), 2, 3, 0), (Read, 5, 6, 5)],
            &[(Put(5), 1, 4, 0), (Put(7), 2, 3, 5), (Read, 5, 6, 7)],
            // Nobody was told of it, and it is seen.
            &[(Put(5), 1, NEVER, 0), (Read, 2, 3, 0), (Read, 4, 5, 5)],
            // Nobody was told of it, and it is never seen.
            &[(Put(5), 1, NEVER, 0), (Read, 2, 3, 0), (Read, 4, 5, 0)],
            &[(Add(2), 1, 6, 2), (Add(3), 2, 5, 5), (Read, 3, 4, 2), (Read, 7, 8, 5)],
            &[(Set(5), 1, 2, 0), (Clear, 3, 6, 1), (Clear, 4, 5, 0), (Read, 7, 8, 0)],
            &[(Set(5), 1, NEVER, 0), (Clear, 3, 4, 0), (Read, 5, 6, 5), (Set(7), 7, 8, 0)],
        ] {
            assert_eq!(verdict(history), Verdict::Possible, "{history:?}");
        }
    }

    #[test]
    fn what_cannot_be_ordered_is_found() {
        use What::{Add, Clear, Put, Read, Set};
        for history in [
            // What was removed comes back, and what is not there is removed.
            &[(Set(5), 1, 2, 0), (Clear, 3, 4, 1), (Read, 5, 6, 5)][..],
            &[(Set(5), 1, 2, 0), (Clear, 3, 4, 1), (Clear, 5, 6, 1)],
            // A stale read.
            &[(Put(5), 1, 2, 0), (Read, 3, 4, 0)],
            // A write that is seen, and then not any more.
            &[(Put(5), 1, NEVER, 0), (Read, 2, 3, 5), (Read, 4, 5, 0)],
            // Two readers who see two writes in different orders.
            &[
                (Put(5), 1, 20, 0),
                (Put(7), 2, 19, 0),
                (Read, 3, 4, 5),
                (Read, 5, 6, 7),
                (Read, 7, 8, 5),
            ],
            // A command that took effect twice.
            &[(Add(2), 1, 2, 2), (Read, 3, 4, 4)],
            // A lost update.
            &[(Add(2), 1, 4, 2), (Add(3), 2, 3, 3), (Read, 5, 6, 5)],
            // A read of what nobody ever wrote.
            &[(Read, 1, 2, 9)],
        ] {
            assert!(matches!(verdict(history), Verdict::Impossible { .. }), "{history:?}");
        }
    }

    #[test]
    fn a_long_history_of_many_clients_is_searched_quickly_right_or_wrong() {
        let mut operations = Vec::new();
        for round in 0..100_u64 {
            for client in 0..10 {
                let begun = round * 20 + client;
                let sum = round * 10 + client + 1;
                operations.push(Operation {
                    what: What::Add(1),
                    begun,
                    ended: Some((round * 20 + 19 - client, sum)),
                });
            }
        }
        assert_eq!(search(&operations, 1_000_000), Verdict::Possible);
        operations[900].ended = Some((operations[900].begun + 10, 3));
        assert!(matches!(search(&operations, 1_000_000), Verdict::Impossible { .. }));
    }

    #[test]
    fn the_first_answer_that_no_order_allows_is_named() {
        let answered =
            |what, begun, ended, answer| Operation { what, begun, ended: Some((ended, answer)) };
        let mut operations: Vec<Operation> =
            (0..50).map(|nth| answered(What::Add(1), 2 * nth, 2 * nth + 1, nth + 1)).collect();
        assert_eq!(culprit(&operations, 100_000), None);
        operations.push(answered(What::Read, 200, 201, 50));
        let stale = answered(What::Read, 202, 203, 49);
        operations.extend([stale, answered(What::Read, 204, 205, 50)]);
        assert_eq!(culprit(&operations, 100_000), Some(stale));
        assert_eq!(culprit(&[], 100_000), None);
    }

    #[test]
    fn keys_are_searched_one_by_one_and_the_wrong_one_is_named() {
        let mut history = History::default();
        let one = history.begin(1, What::Put(5));
        let two = history.begin(2, What::Put(6));
        history.end(one, 0);
        history.end(two, 0);
        let read = history.begin(1, What::Read);
        assert_eq!(history.check(), Ok(()));
        history.end(read, 6);
        assert!(history.check().expect_err("nobody wrote 6").says.contains("key 1"));
        assert_eq!(history.counts(), (3, 3));
    }
}
