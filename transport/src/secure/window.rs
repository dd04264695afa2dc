//! `Window`: which of the numbers that a peer gave its messages have arrived, where they come in
//! any order. It refuses what was there before, and what is too old to tell.

/// The newest [`Window::WIDTH`] numbers, a bit each, as RFC 4303 (§3.4.3) has it.
///
/// A number is accepted after its message has been authenticated, never before: otherwise a forged
/// one would move the window past the genuine ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// One more than the highest number accepted.
    next: u64,
    /// The bit of number n is n modulo the width. Those from `next - WIDTH` on are in use; the bit
    /// of a number below is cleared when the window moves over it.
    accepted: [u64; Self::WORDS],
}

/// Why a number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// It was accepted before.
    Repeated,
    /// It is older than the window, which no longer tells whether it was accepted.
    Old,
}

impl Window {
    /// How many numbers it tells apart.
    pub(crate) const WIDTH: u64 = 1024;
    const WORDS: usize = 16;

    /// Whether a message of this number may be new.
    pub(crate) fn check(&self, number: u64) -> Result<(), Stale> {
        if number >= self.next {
            return Ok(());
        }
        if self.next - number > Self::WIDTH {
            return Err(Stale::Old);
        }
        let (word, bit) = Self::place(number);
        if self.accepted[word] & bit == 0 { Ok(()) } else { Err(Stale::Repeated) }
    }

    /// Remembers the number of an authenticated message.
    ///
    /// # Panics
    /// When it was not checked.
    pub(crate) fn accept(&mut self, number: u64) {
        assert_eq!(self.check(number), Ok(()), "number {number} is accepted unchecked");
        if number >= self.next {
            let moved = number - self.next;
            for passed in number.saturating_sub(moved.min(Self::WIDTH - 1))..=number {
                let (word, bit) = Self::place(passed);
                self.accepted[word] &= !bit;
            }
            self.next = number.checked_add(1).expect("no key is good for so many numbers");
        }
        let (word, bit) = Self::place(number);
        self.accepted[word] |= bit;
    }

    fn place(number: u64) -> (usize, u64) {
        let within = number % Self::WIDTH;
        let word = usize::try_from(within / 64).expect("below 16");
        (word, 1 << (within % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The same by remembering everything.
    #[derive(Default)]
    struct Model {
        accepted: BTreeSet<u64>,
    }

    impl Model {
        fn check(&self, number: u64) -> Result<(), Stale> {
            let next = self.accepted.last().map_or(0, |last| last + 1);
            if number + Window::WIDTH < next {
                Err(Stale::Old)
            } else if self.accepted.contains(&number) {
                Err(Stale::Repeated)
            } else {
                Ok(())
            }
        }
    }

    /// A step from the highest number so far: mostly about as far as the window is wide.
    fn step() -> impl Strategy<Value = i64> {
        prop_oneof![-4..4_i64, -1100..1100_i64, -1026..-1020_i64, 1020..1028_i64, 0..100_000_i64]
    }

    proptest! {
        #[test]
        fn the_window_judges_as_if_it_remembered_everything(
            start in 0..3000_u64,
            steps in proptest::collection::vec(step(), 1..400),
        ) {
            let mut window = Window::default();
            let mut model = Model::default();
            let mut high = start;
            for step in steps {
                let number = high.saturating_add_signed(step);
                high = high.max(number);
                let judged = window.check(number);
                prop_assert_eq!(judged, model.check(number), "{} below {}", number, high);
                if judged.is_ok() {
                    window.accept(number);
                    model.accepted.insert(number);
                    prop_assert_eq!(window.check(number), Err(Stale::Repeated));
                }
            }
        }
    }

    #[test]
    fn the_last_1024_numbers_are_told_apart_and_no_older_one_is() {
        let mut window = Window::default();
        window.accept(2000);
        assert_eq!(window.check(2000 - 1023), Ok(()));
        assert_eq!(window.check(2000 - 1024), Err(Stale::Old));
        assert_eq!(window.check(0), Err(Stale::Old));
    }

    #[test]
    #[should_panic(expected = "number 5 is accepted unchecked")]
    fn a_repeated_number_is_never_accepted() {
        let mut window = Window::default();
        window.accept(5);
        window.accept(5);
    }
}
