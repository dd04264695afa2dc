//! Power that goes amid the operations of a disk: after so many of them, again and again, or right
//! after the files of the log have changed, or a term was written, when most depends on what is
//! durable.

use super::Member;
use crate::core_world::random::Random;

/// Whether a member's machine has power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core_world) enum Power {
    There,
    Gone,
}

/// When the power goes.
pub(super) struct Dark {
    when: When,
    /// So often.
    left: u64,
    /// The count of operations at which it goes next.
    limit: u64,
}

enum When {
    /// After so many operations of the disk at most.
    Within(u64, Random),
    /// So many operations after the log's files are others than these.
    Files { known: Vec<String>, soon: u64 },
    /// Right after a batch with a term and entries, which is torn.
    Terms,
}

impl Member {
    /// The power goes after so many operations of the disk at most, and so many times.
    pub(in crate::core_world) fn go_dark(&mut self, operations: u64, cuts: u64, random: Random) {
        let when = When::Within(operations, random);
        self.dark = Some(Dark { when, left: cuts, limit: u64::MAX });
        self.dim();
    }

    /// The power goes so many operations after the log's files have changed next, so many times.
    pub(in crate::core_world) fn watch_files(&mut self, soon: u64, cuts: u64) {
        let when = When::Files { known: self.files(), soon };
        self.dark = Some(Dark { when, left: cuts, limit: u64::MAX });
    }

    /// The power goes right after a batch with a term and entries, so many times.
    pub(in crate::core_world) fn watch_terms(&mut self, cuts: u64) {
        self.dark = Some(Dark { when: When::Terms, left: cuts, limit: u64::MAX });
    }

    fn files(&self) -> Vec<String> {
        let mut names = self.disk.attach().list().unwrap_or_default();
        names.retain(|name| name.starts_with("segment-"));
        names.sort_unstable();
        names
    }

    /// The disk stops once it has done as much as the power lasts for.
    pub(super) fn dim(&mut self) {
        let files = match &self.dark {
            Some(Dark { when: When::Files { .. }, .. }) => self.files(),
            _ => Vec::new(),
        };
        let Some(dark) = &mut self.dark else { return };
        match &mut dark.when {
            When::Within(operations, random) => {
                dark.limit = self.disk.operations() + random.between(1, *operations);
                self.disk.stop_after(dark.limit);
            }
            // Another fault was quicker: it is still to come.
            When::Files { known, .. } => (dark.limit, *known) = (u64::MAX, files),
            When::Terms => dark.limit = u64::MAX,
        }
    }

    /// Sees whether what the power waits for has come: other files, or a batch with a term.
    pub(super) fn look_at_log(&mut self) {
        let Some(Dark { when, limit: u64::MAX, .. }) = &self.dark else { return };
        let (soon, changed) = match when {
            When::Within(..) => return,
            When::Files { known, soon } => (*soon, *known != self.files()),
            When::Terms => (0, false),
        };
        let mixed = self.running.as_mut().is_some_and(|run| std::mem::take(&mut run.wrote_mixed));
        if changed || mixed {
            let limit = self.disk.operations() + soon;
            self.disk.stop_after(limit);
            self.dark = self.dark.take().map(|dark| Dark { limit, ..dark });
        }
    }

    /// The machine's power is gone: what the disk loses by that.
    pub(super) fn tear(&self) {
        if let Some(Dark { when: When::Terms, .. }) = &self.dark
            && self.power() == Power::Gone
        {
            self.disk.tear_behind();
        }
    }

    /// Whether its power is gone, so that it has to be switched off.
    pub(in crate::core_world) fn power(&self) -> Power {
        let gone = self.dark.as_ref().is_some_and(|dark| self.disk.operations() >= dark.limit);
        if gone { Power::Gone } else { Power::There }
    }

    /// It was switched off for it.
    pub(in crate::core_world) fn went_dark(&mut self) {
        if let Some(dark) = &mut self.dark {
            dark.left -= 1;
        }
        self.dark = self.dark.take().filter(|dark| dark.left > 0);
    }

    /// Nothing of that any more; what its power was until now.
    pub(in crate::core_world) fn lights_on(&mut self) -> Power {
        let power = self.power();
        self.dark = None;
        self.disk.stop_after(u64::MAX);
        power
    }
}
