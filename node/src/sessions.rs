//! Exactly once for clients that keep count: `Sessions`, each with the replies that its client has
//! not acknowledged yet (paper §8, thesis §6.3). Part of the replicated state: every member keeps
//! the same, and forgets by log time.
//!
//! A session is opened by an entry, and named by that entry's index, so that no two have the same
//! name, however often opening one is proposed. A command names its session, its own number, and up
//! to which number its client has been answered: those replies are forgotten, and what has such a
//! number comes too late.

use holm_raft_core::{Index, LogTime};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `sessions_max`: the most sessions at a time. Part of the replicated behaviour: not a setting.
pub(crate) const SESSIONS_MAX: usize = 100_000;
/// `session_replies_max`: the most replies that a session waits to have acknowledged.
pub(crate) const SESSION_REPLIES_MAX: usize = 256;
/// `session_bytes_max`: the most bytes of replies that all sessions together wait to have
/// acknowledged.
pub(crate) const SESSION_BYTES_MAX: u64 = 64 << 20;

/// Where a command stands in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The index of the entry that opened the session.
    pub(crate) session: Index,
    /// Counts the session's commands, from 1.
    pub(crate) number: u64,
    /// The client has been answered up to here, or waits no longer.
    pub(crate) answered: u64,
}

/// Invariants: `expiry` names exactly the sessions; `bytes` is what their replies weigh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Opened", into = "Opened")]
pub(crate) struct Sessions {
    opened: Opened,
    expiry: BTreeSet<(u64, u64)>,
    bytes: u64,
}

/// What snapshots carry.
type Opened = BTreeMap<u64, Session>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    answered: u64,
    /// By their commands' numbers.
    replies: BTreeMap<u64, Replied>,
    /// For how long it is kept after a command, in milliseconds of log time.
    retention: u64,
    /// From when on it is forgotten, in log time.
    expires: u64,
}

/// The reply to a command that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replied {
    /// Encoded with postcard.
    pub(crate) reply: Vec<u8>,
    /// Where the command was applied.
    pub(crate) index: u64,
}

/// What is to be done with a command of a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// It is new: apply it, then remember the reply.
    New,
    /// It was applied already: this was the reply.
    Again(&'a Replied),
    /// Nobody waits for it any more.
    Late,
    /// There is no such session: it has expired.
    Expired,
    /// Too much is remembered: this bound is reached.
    Full { limit: &'static str },
}

impl From<Opened> for Sessions {
    fn from(opened: Opened) -> Self {
        let expiry = opened.iter().map(|(id, session)| (session.expires, *id)).collect();
        let bytes = opened.values().flat_map(|session| session.replies.values()).map(weight).sum();
        Self { opened, expiry, bytes }
    }
}

impl From<Sessions> for Opened {
    fn from(sessions: Sessions) -> Self {
        sessions.opened
    }
}

fn weight(replied: &Replied) -> u64 {
    replied.reply.len() as u64 + 32
}

impl Sessions {
    /// Opens one, which is named by the index of the entry that asks for it; or says which bound is
    /// reached.
    pub(crate) fn open(
        &mut self,
        index: Index,
        now: LogTime,
        retention: u64,
    ) -> Result<(), &'static str> {
        self.expire(now);
        if self.opened.len() >= SESSIONS_MAX {
            return Err("sessions_max");
        }
        let expires = now.0.saturating_add(retention);
        let session = Session { answered: 0, replies: BTreeMap::new(), retention, expires };
        self.opened.insert(index.0, session);
        self.expiry.insert((expires, index.0));
        Ok(())
    }

    /// Forgets what has expired or was acknowledged, and says what to do with a command.
    pub(crate) fn ask(&mut self, place: &Place, now: LogTime) -> Verdict<'_> {
        self.expire(now);
        let Self { opened, expiry, bytes } = self;
        let id = place.session.0;
        let Some(session) = opened.get_mut(&id) else { return Verdict::Expired };
        expiry.remove(&(session.expires, id));
        session.expires = now.0.saturating_add(session.retention);
        expiry.insert((session.expires, id));
        session.answered = session.answered.max(place.answered);
        let kept = session.replies.split_off(&session.answered.saturating_add(1));
        *bytes -= std::mem::replace(&mut session.replies, kept).values().map(weight).sum::<u64>();
        if place.number <= session.answered {
            return Verdict::Late;
        }
        match session.replies.get(&place.number) {
            Some(replied) => Verdict::Again(replied),
            None if session.replies.len() >= SESSION_REPLIES_MAX => {
                Verdict::Full { limit: "session_replies_max" }
            }
            None if *bytes >= SESSION_BYTES_MAX => Verdict::Full { limit: "session_bytes_max" },
            None => Verdict::New,
        }
    }

    /// The command that [`ask`](Self::ask) called new was applied.
    pub(crate) fn remember(&mut self, place: &Place, reply: Vec<u8>, index: Index) {
        let replied = Replied { reply, index: index.0 };
        self.bytes += weight(&replied);
        let session = self.opened.get_mut(&place.session.0).expect("it was asked for just now");
        session.replies.insert(place.number, replied);
    }

    fn expire(&mut self, now: LogTime) {
        while let Some((expires, id)) = self.expiry.first().copied()
            && expires <= now.0
        {
            self.expiry.pop_first();
            let session = self.opened.remove(&id).expect("expiry names what there is");
            self.bytes -= session.replies.values().map(weight).sum::<u64>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(number: u64, answered: u64) -> Place {
        Place { session: Index(7), number, answered }
    }

    fn opened() -> Sessions {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.open(Index(7), LogTime(0), 100), Ok(()));
        sessions
    }

    #[test]
    fn a_retry_gets_the_first_reply_until_that_is_acknowledged() {
        let mut sessions = opened();
        assert_eq!(sessions.ask(&place(1, 0), LogTime(1)), Verdict::New);
        sessions.remember(&place(1, 0), vec![42], Index(9));
        let Verdict::Again(known) = sessions.ask(&place(1, 0), LogTime(2)) else { panic!() };
        assert_eq!((&known.reply[..], known.index), (&[42][..], 9));
        assert_eq!(sessions.ask(&place(3, 1), LogTime(3)), Verdict::New);
        assert_eq!(sessions.ask(&place(1, 0), LogTime(4)), Verdict::Late, "it was acknowledged");
        assert_eq!(sessions.ask(&place(2, 1), LogTime(5)), Verdict::New, "commands overtake");
        assert_eq!(sessions.bytes, 0);
    }

    #[test]
    fn a_session_is_forgotten_after_its_retention_without_a_command_and_never_comes_back() {
        let mut sessions = opened();
        assert_eq!(sessions.ask(&place(1, 0), LogTime(99)), Verdict::New);
        sessions.remember(&place(1, 0), vec![1], Index(9));
        assert!(matches!(sessions.ask(&place(1, 0), LogTime(198)), Verdict::Again(_)));
        assert_eq!(sessions.ask(&place(1, 0), LogTime(298)), Verdict::Expired);
        let another = sessions.open(Index(8), LogTime(298), 100);
        assert_eq!(another, Ok(()), "another entry opens another one");
        assert_eq!(sessions.ask(&place(1, 0), LogTime(299)), Verdict::Expired);
        assert_eq!(sessions.bytes, 0);
    }

    #[test]
    fn replies_that_nobody_acknowledges_are_bounded() {
        let mut sessions = opened();
        for number in 1..=SESSION_REPLIES_MAX as u64 {
            assert_eq!(sessions.ask(&place(number, 0), LogTime(1)), Verdict::New);
            sessions.remember(&place(number, 0), vec![0], Index(number));
        }
        let full = Verdict::Full { limit: "session_replies_max" };
        assert_eq!(sessions.ask(&place(1_000, 0), LogTime(1)), full);
        assert!(matches!(sessions.ask(&place(1, 0), LogTime(1)), Verdict::Again(_)));
        assert_eq!(sessions.ask(&place(1_000, 1), LogTime(1)), Verdict::New, "one less is kept");
    }

    #[test]
    fn sessions_are_bounded() {
        let mut sessions = Sessions::default();
        for index in 0..SESSIONS_MAX as u64 {
            assert_eq!(sessions.open(Index(index), LogTime(index), u64::MAX), Ok(()));
        }
        assert_eq!(sessions.open(Index(1 << 40), LogTime(1 << 20), 1), Err("sessions_max"));
    }

    #[test]
    fn the_bytes_of_all_sessions_replies_are_bounded() {
        let mut sessions = opened();
        assert_eq!(sessions.open(Index(8), LogTime(0), 100), Ok(()));
        let large = usize::try_from(SESSION_BYTES_MAX).unwrap();
        assert_eq!(sessions.ask(&place(1, 0), LogTime(1)), Verdict::New);
        sessions.remember(&place(1, 0), vec![0; large], Index(9));
        let other = Place { session: Index(8), number: 1, answered: 0 };
        let full = Verdict::Full { limit: "session_bytes_max" };
        assert_eq!(sessions.ask(&other, LogTime(1)), full);
        assert_eq!(sessions.ask(&place(2, 1), LogTime(1)), Verdict::New, "it was acknowledged");
        assert_eq!(sessions.ask(&other, LogTime(1)), Verdict::New);
    }

    proptest! {
        /// Whatever comes in whatever order: each number is new at most once, and a table that was
        /// frozen and restored gives the same verdicts.
        #[test]
        fn each_number_is_new_at_most_once(
            steps in proptest::collection::vec(
                (1u64..20, 0u64..20, 0u64..40, any::<bool>()),
                1..200,
            )
        ) {
            let (mut sessions, mut now, mut applied) = (opened(), 0, BTreeSet::new());
            for (number, answered, later, restored) in steps {
                now += later;
                if restored {
                    let bytes = postcard::to_stdvec(&sessions).unwrap();
                    let thawed: Sessions = postcard::from_bytes(&bytes).unwrap();
                    prop_assert_eq!(&thawed, &sessions);
                    sessions = thawed;
                }
                let place = place(number, answered.min(number - 1));
                if sessions.ask(&place, LogTime(now)) == Verdict::New {
                    prop_assert!(applied.insert(number), "{} is new again", number);
                    sessions.remember(&place, vec![1; 3], Index(now));
                }
            }
        }
    }
}
