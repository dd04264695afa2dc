//! What the `holm` binary is made of: the command line (`cli`), the configuration file (`file`),
//! the HTTP interface (`http`) and its client, the serving process (`serve`), and whole clusters of
//! processes on one machine (`cluster`) for the demo, the bench and tests, whose
//! files `setup` writes as it does for `holm init`.

pub mod access;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod file;
pub mod http;
pub mod limits;

mod apart;
mod bench;
mod connections;
mod demo;
mod progress;
mod rereading;
mod serve;
mod setup;
mod signals;
mod tls;

/// The port of the HTTP interface where an address names none.
pub const HTTP_PORT: u16 = 7680;
