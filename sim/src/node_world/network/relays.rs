//! Members that misbehave as relays: `Relays` loses, repeats, holds back and alters what is passed
//! on, by a seed. A connection can't do that to single frames, which are sealed in a row; whoever
//! passes them on can. It also watches the ways that frames take.

use crate::core_world::random::Random;
use crate::node_world::findings::{broken, happened};
use holm::Transit;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// At most so many frames are held back at one member.
const HELD_MAX: usize = 16;

/// How often relays misbehave, each in millionths of the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Mischief {
    pub(in super::super) lose: u64,
    pub(in super::super) repeat: u64,
    pub(in super::super) hold: u64,
    /// Only where links are sealed: without a seal nobody can know.
    pub(in super::super) alter: u64,
}

/// All members, as relays.
pub(in super::super) struct Relays(Mutex<State>);

struct State {
    links: Links,
    mischief: Mischief,
    random: Random,
    held: BTreeMap<u64, Vec<Transit>>,
    ways: BTreeMap<Name, Steps>,
}

/// How links are secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Links {
    Sealed,
    Insecure,
}

/// What tells a sealed frame from all others: its two ends, its exchange and its number.
type Name = (u64, u64, [u8; NAME_BYTES]);

/// The exchange and the number, with which a sealed frame begins.
const NAME_BYTES: usize = 16;

/// What is known of a frame's way.
enum Steps {
    Known(Vec<Step>),
    /// There are copies of it.
    Any,
}

/// A member that a frame has passed, and where it had come from.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Step {
    from: u64,
    at: u64,
}

/// What becomes of a frame.
enum Fate {
    Goes,
    Lost,
    Repeated,
    Held,
    Altered,
}

const NAME: &str = "the ways of frames";

impl Relays {
    pub(super) fn new(links: Links, mischief: Mischief, random: Random) -> Self {
        let (held, ways) = (BTreeMap::new(), BTreeMap::new());
        Self(Mutex::new(State { links, mischief, random, held, ways }))
    }

    /// From now on they behave: what was held back stays so.
    pub(in super::super) fn behave(&self) {
        self.state().mischief = Mischief::default();
    }

    /// A member was started anew, and holds nothing.
    pub(super) fn forget(&self, host: u64) {
        self.state().held.remove(&host);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panicked")
    }

    pub(super) fn pass_on(&self, host: u64, frame: Transit, on: &mut dyn FnMut(Transit)) {
        happened("frames passed on for others");
        // Whoever is given a frame takes no lock of this one, but may well ask again.
        let (fate, released) = {
            let mut state = self.state();
            state.watch(host, &frame);
            (state.fate(host, &frame), state.release(host))
        };
        match fate {
            Fate::Goes => on(frame),
            Fate::Lost => happened("frames that a relay lost"),
            Fate::Held => {
                happened("frames that a relay held back");
                self.state().held.entry(host).or_default().push(frame);
            }
            Fate::Repeated => {
                happened("frames that a relay repeated");
                on(frame.clone());
                on(frame);
            }
            Fate::Altered => {
                happened("frames that a relay altered");
                on(self.state().alter(frame));
            }
        }
        released.into_iter().for_each(on);
    }
}

impl State {
    fn fate(&mut self, host: u64, frame: &Transit) -> Fate {
        let Mischief { lose, repeat, hold, alter } = self.mischief;
        let Self { links, random, held, ways, .. } = self;
        let room = held.get(&host).is_none_or(|held| held.len() < HELD_MAX);
        if random.happens(lose) {
            return Fate::Lost;
        }
        if random.happens(repeat) {
            // Its copies may take different ways: they are not watched.
            ways.insert(name(frame), Steps::Any);
            return Fate::Repeated;
        }
        if room && random.happens(hold) {
            return Fate::Held;
        }
        let alters = *links == Links::Sealed && frame.body.len() > NAME_BYTES;
        if alters && random.happens(alter) { Fate::Altered } else { Fate::Goes }
    }

    /// What is held back no longer, in any order.
    fn release(&mut self, host: u64) -> Vec<Transit> {
        let mut released = Vec::new();
        let Some(held) = self.held.get_mut(&host) else { return released };
        let mut at = 0;
        while at < held.len() {
            if self.random.one_in(8) {
                released.push(held.swap_remove(at));
            } else {
                at += 1;
            }
        }
        released
    }

    /// Its name stays, or it might become another frame's.
    fn alter(&mut self, mut frame: Transit) -> Transit {
        let mut body = frame.body.to_vec();
        let sealed = u64::try_from(body.len() - NAME_BYTES).expect("64 bits or fewer");
        let at = usize::try_from(self.random.below(sealed)).expect("below a length");
        body[NAME_BYTES + at] ^= 1 << self.random.below(8);
        frame.body = body.into();
        frame
    }

    /// A frame is passed on once each time that it comes, and never back to where it came from.
    fn watch(&mut self, at: u64, frame: &Transit) {
        if self.links == Links::Insecure || frame.is_greeting() {
            return;
        }
        let (from, source, to) = (frame.from().0, frame.source().0, frame.destination().0);
        let which = format!("a frame from {source} to {to}");
        if source == at {
            broken(NAME, format!("{which} came back to {at} from {from}"));
        }
        let steps = self.ways.entry(name(frame)).or_insert_with(|| Steps::Known(Vec::new()));
        let Steps::Known(steps) = steps else { return };
        // There is one of it, and this is where it was last.
        if steps.last() == Some(&Step { from: at, at: from }) {
            broken(NAME, format!("{which} went from {at} to {from} and back"));
        }
        // While links change it may go in a circle. But nobody gives away more than he got.
        let got = steps.iter().filter(|step| step.at == from).count().max(1);
        let given = steps.iter().filter(|step| step.from == from).count();
        if given >= got {
            broken(NAME, format!("{which} was passed on {} times by {from}", given + 1));
        }
        steps.push(Step { from, at });
    }
}

fn name(frame: &Transit) -> Name {
    let mut head = [0; NAME_BYTES];
    let length = frame.body.len().min(head.len());
    head[..length].copy_from_slice(&frame.body[..length]);
    (frame.source().0, frame.destination().0, head)
}
