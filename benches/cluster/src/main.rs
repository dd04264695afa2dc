//! Whole clusters, as three processes each on this machine's loopback and disk: Holm, what others
//! would use in its place, and the floor below all of them, by turns in one run. `cargo xtask
//! cluster` builds and runs it; the README says what is compared with what.
#![forbid(unsafe_code)]

mod cluster;
mod disk;
mod failover;
mod floor;
mod load;
mod member;
mod openraft;
mod outside;
mod process;
mod restart;
mod run;
mod subject;
mod table;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Measure, and print tables
    Run(run::RunArgs),
    /// One process of a cluster, started by `run`
    #[command(hide = true)]
    Member(member::MemberArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().what {
        What::Run(args) => run::run(&args),
        What::Member(args) => member::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holm-cluster-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
