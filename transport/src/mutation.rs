//! Known bugs of transports, each of which can be switched on with the feature `mutations`:
//! `Mutation`. The simulator must find each of them (`cargo sim-mutants`). Otherwise [`on`] is
//! always false, and nothing of this is compiled in.

macro_rules! mutations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A bug, by what goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation {
            $($(#[$doc])* $name,)*
        }

        #[cfg(feature = "mutations")]
        impl Mutation {
            /// All of them, so that none is forgotten by whoever hunts them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

mutations! {
    /// "relay that duplicates": whatever is passed on goes out twice.
    RelayDuplicates,
    /// "relay sends back where it came from": it takes the shortest way, whoever gave it the frame.
    RelaySendsBack,
    /// "replay window ignored": a frame is taken as often as it comes.
    WindowIgnored,
    /// "handshake that accepts an old session": that of a start that is over opens frames still.
    OldSessionAccepted,
    /// "session kept over a restart of the other end": it goes on sealing.
    SessionKeptOverARestart,
}

#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub(crate) const fn on(_: Mutation) -> bool {
    false
}

#[cfg(feature = "mutations")]
pub use switched::{on, with};

#[cfg(feature = "mutations")]
mod switched {
    use super::Mutation;
    use std::cell::Cell;

    std::thread_local! {
        static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
        static REACHED: Cell<u64> = const { Cell::new(0) };
    }

    /// Whether this bug is switched on in this thread.
    #[must_use]
    pub fn on(mutation: Mutation) -> bool {
        let active = ACTIVE.get() == Some(mutation);
        if active {
            REACHED.set(REACHED.get() + 1);
        }
        active
    }

    /// Runs with a bug switched on; also says how often the place was reached.
    pub fn with<T>(mutation: Option<Mutation>, run: impl FnOnce() -> T) -> (T, u64) {
        ACTIVE.set(mutation);
        REACHED.set(0);
        let value = run();
        ACTIVE.set(None);
        (value, REACHED.get())
    }
}
