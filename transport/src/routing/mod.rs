//! How members that have no link of their own reach each other: who has links to whom (`record`,
//! `table`), the shortest live paths that follow from it (`paths`), and what is carried on for
//! others (`relay`, `bucket`).
//!
//! All of it is plain state: the time is passed in, what is to be sent is drained, and the same
//! calls give the same answers. A member calls `Table::link_up` and `Table::link_down` as its own
//! links come and go, `Table::receive` for each record that arrives, `Table::tick` once
//! `Table::deadline` has come, and sends what `Table::drain` gives it after each of these.
//!
//! Each member tells of itself alone: its live links, under a number that grows. Of two records of
//! one member the one with the greater rank wins everywhere, so all tables that hear the same
//! records hold the same ones, whatever the order, the losses and the repetitions on the way. What
//! was lost is made good by the next refresh.
//!
//! With `m` members, a table holds at most `m` records of at most 255 neighbours each; a change
//! costs one search, O(m²) at most, at the next question (and one more for each neighbour that
//! frames are carried on for); a refresh that changes nothing costs no search. A record passes each
//! link at most once each way, and in a full mesh it is not passed on at all. Nobody's records are
//! passed on more often than each 20 ms.

mod bucket;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzz;
mod paths;
pub(crate) mod record;
mod relay;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use bucket::{Bucket, Taken};
#[cfg(any(test, feature = "fuzzing"))]
pub use fuzz::fuzz_records;
#[cfg(test)]
pub(crate) use fuzz::records_taken;
pub(crate) use relay::{Onward, Relay, Transit};
pub(crate) use table::{Heard, Table};
