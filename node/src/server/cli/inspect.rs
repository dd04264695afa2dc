//! `holm inspect`: looks at the files of a member without touching them.

use super::{FAILED, Out, failed};
use clap::Args;
use holm_raft_core::Index;
use holm_wal::{Depth, Verdict};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

pub(super) const EXAMPLES: &str = "\
Examples:
  holm inspect wal /var/lib/holm --verify
  holm inspect wal /var/lib/holm --index 4711";

#[derive(Args)]
pub(super) struct WalArgs {
    /// The directory of the log: a member's data_dir
    path: PathBuf,
    /// Print only the entry at this index, with the beginning of its data
    #[arg(long, value_name = "N", conflicts_with = "verify")]
    index: Option<u64>,
    /// Check everything, and print no records but what is wrong
    #[arg(long)]
    verify: bool,
}

/// Succeeds if a member could start on this log, its tail torn or not.
pub(super) fn wal(args: &WalArgs) -> ExitCode {
    let depth = match args.index {
        Some(index) => Depth::Entry(Index(index)),
        None if args.verify => Depth::Segments,
        None => Depth::Records,
    };
    let mut out = BufWriter::new(Out::new());
    let verdict = holm_wal::inspect(&args.path, depth, &mut out);
    if let Err(error) = out.flush() {
        return failed(FAILED, &format!("standard output can't be written: {error}"));
    }
    match verdict {
        Ok(Verdict::Sound | Verdict::Torn(_)) => ExitCode::SUCCESS,
        Ok(Verdict::Refused(_)) => ExitCode::from(FAILED),
        Err(error) => failed(
            FAILED,
            &format!("{error}; name the data_dir of a member, which is left as it is"),
        ),
    }
}
