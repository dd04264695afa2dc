//! The library as its users see it: members in one process, on loopback. One program, because
//! linking each file by itself takes longer than running them; `cargo test -p holm --test library
//! claims` runs those of one file.

mod applying;
mod bad_day;
mod bad_disks;
mod claims;
mod clients;
mod counter;
mod embedding;
mod forward;
mod local;
mod measures;
mod membership;
#[cfg(feature = "server")]
mod points;
#[cfg(feature = "server")]
mod rendezvous_example;
mod repair;
#[cfg(feature = "server")]
mod session_cookie;
mod sessions;
mod tickets;
