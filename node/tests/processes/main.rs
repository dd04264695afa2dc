//! The `holm` binary as its users see it: real processes on loopback, files and exit codes. One
//! program, because linking each file by itself takes longer than running them; `cargo test -p holm
//! --test processes islands` runs those of one file.
#![cfg(feature = "server")]

mod backups;
mod catching_up;
mod claims;
mod cluster;
mod command_line;
mod compaction;
mod config_errors;
mod full_disk;
mod gate;
mod hosts;
mod init;
mod inspect;
mod islands;
mod looking;
mod members;
mod overload;
mod recovery;
mod sealed_config;
mod secrets;
mod security;
mod sessions;
mod terminal;
