//! Deterministic simulation of Holm. One seed decides everything: networks, disks, crashes,
//! clients.
//!
//! Two worlds run the code that ships:
//! - [`core_world`]: the core and the log on a simulated disk, event by event, without async. It
//!   needs nothing special and is quick.
//! - `node_world`: the whole `holm::Node`, with its driver, its transport over a network that fails
//!   and its log on a simulated disk. It needs `--cfg madsim`, which `cargo sim` sets.
//!
//! Both say what happened, with a trace that is equal to the byte for equal seeds; what must hold
//! is in [`checkers`].
//!
//! [`check`] puts a state machine of yours into the first, in your own tests.
#![forbid(unsafe_code)]

mod check;
pub mod checkers;
pub mod core_world;
mod coverage;
pub mod node_world;
mod outcome;
mod schedule;
pub mod trace;
pub mod view;

pub use check::{Checked, Failed, Sweep, Workload, check, replay};
pub use core_world::random::Random;
pub use coverage::{Coverage, World};
pub use outcome::{Outcome, Tracing};
pub use schedule::shrink::{Schedule, Shrunk};
pub use schedule::{Class, Mode, TextError};
