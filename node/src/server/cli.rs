//! The command line: [`main`], the commands and their flags.

mod access;
mod backup;
mod client;
mod completions;
mod init;
mod inspect;
mod join;
mod keygen;
mod keys;
mod members;
mod out;
mod recover;
mod rendezvous;
mod status;
mod token;

use super::apart::has_few_cores;
use super::client::Endpoint;
use super::file::{Overrides, ServeConfig};
use super::serve::{ServeError, serve};
use super::{bench, demo};
use crate::config::Start;
use crate::stop::Stop;
use access::ClientArgs;
use clap::{Args, Parser, Subcommand};
use out::Out;
use std::future::Future;
use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

/// Something was refused or failed.
const FAILED: u8 = 1;
/// The command line or the configuration file is wrong. Also clap's own.
const USAGE: u8 = 2;
/// The member stopped by itself, because its disk failed.
const DISK_FAILED: u8 = 3;
/// The member stopped by itself, because it is no member any more.
const REMOVED: u8 = 4;

/// Runs the command line of this process and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => run_serve(&args),
        Command::Init(args) => init::run(&args),
        Command::Keygen(args) => told(keygen::run(&args)),
        Command::Demo => block_on(async { told(demo::run().await) }),
        Command::Bench(args) => block_on(async move { told(bench::run(&args).await) }),
        Command::Counter { action, at } => {
            block_on(async move { told(client::counter(&at, &action).await) })
        }
        Command::Kv { action, at } => block_on(async move { told(client::kv(&at, &action).await) }),
        Command::Rendezvous { action, at } => {
            block_on(async move { told(rendezvous::run(&at, &action).await) })
        }
        Command::Inspect { what: Inspect::Wal(args) } => inspect::wal(&args),
        Command::Inspect { what: Inspect::Backup(args) } => told(backup::inspect(&args)),
        Command::Backup(args) => block_on(async move { told(backup::backup(&args).await) }),
        Command::Restore(args) => block_on(async move { backup::run(&args).await }),
        Command::Recover(args) => block_on(async move { recover::run(&args).await }),
        Command::Token { action } => told(token::run(&action)),
        Command::Completions(args) => told(completions::run(&args)),
        Command::Join(args) => block_on(async move { told(join::run(&args).await) }),
        Command::Members { action, at } => {
            block_on(async move { told(members::run(&at, &action).await) })
        }
        Command::Transfer { args, at } => {
            block_on(async move { told(members::transfer(&at, &args).await) })
        }
        Command::Keys { action, at } => {
            block_on(async move { told(keys::run(&at, &action).await) })
        }
        Command::Status { cluster: true, output, at } => {
            block_on(async move { told(status::of_cluster(&at, output).await) })
        }
        Command::Status { cluster: false, output, at } => {
            block_on(async move { told(status::run(&at, output).await) })
        }
    }
}

const AFTER_HELP: &str = "\
Exit codes:
  0  done, or told to stop
  1  refused or failed; standard error says why
  2  the command line or the configuration is wrong
  3  `serve` only: the disk failed, and the member stopped by itself
  4  `serve` only: it is no member any more, and stopped by itself

A flag wins over its variable, and that over the configuration file. NO_COLOR=1 keeps colours away.

Examples:
  holm demo
  holm init --members 3 --dir harbour
  holm serve --bootstrap --config harbour/node1/holm.toml
  holm status --endpoint 127.0.0.1:7681,127.0.0.1:7682,127.0.0.1:7683";

/// Consensus for islands: replicated counters and keys for groups of machines on isolated networks
#[derive(Parser)]
#[command(name = "holm", version, disable_help_subcommand = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the configurations, the secret and the keys of a new cluster
    #[command(after_help = init::EXAMPLES)]
    Init(init::InitArgs),
    /// Draw a member's key pair, or a secret for all members
    #[command(after_help = keygen::EXAMPLES)]
    Keygen(keygen::KeygenArgs),
    /// Run one member
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Show three members surviving the death of their leader (under 20 seconds)
    Demo,
    /// Measure increments per second on three processes of this machine
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::BenchArgs),
    /// Add to a counter or read it
    #[command(after_help = client::COUNTER_EXAMPLES)]
    Counter {
        #[command(subcommand)]
        action: CounterAction,
        #[command(flatten)]
        at: ClientArgs,
    },
    /// Write, read or remove a key
    #[command(after_help = client::KV_EXAMPLES)]
    Kv {
        #[command(subcommand)]
        action: KvAction,
        #[command(flatten)]
        at: ClientArgs,
    },
    /// Write the whole state of a running cluster, at one index, into a file
    #[command(after_help = backup::BACKUP_EXAMPLES)]
    Backup(backup::BackupArgs),
    /// Make a new cluster of a backup
    #[command(after_help = backup::RESTORE_EXAMPLES)]
    Restore(backup::RestoreArgs),
    /// Go on with one stopped member, where a majority of the voters is lost for good
    #[command(after_help = recover::EXAMPLES)]
    Recover(recover::RecoverArgs),
    /// Find the member that a key belongs to
    #[command(after_help = rendezvous::EXAMPLES)]
    Rendezvous {
        #[command(subcommand)]
        action: rendezvous::RendezvousAction,
        #[command(flatten)]
        at: ClientArgs,
    },
    /// Look at the files of a member, running or not, without touching them
    Inspect {
        #[command(subcommand)]
        what: Inspect,
    },
    /// Look after the keys that sessions are sealed with
    #[command(after_help = keys::EXAMPLES)]
    Keys {
        #[command(subcommand)]
        action: keys::KeysAction,
        #[command(flatten)]
        at: ClientArgs,
    },
    /// Show the members, their roles and how far each trails the leader
    #[command(after_help = status::EXAMPLES)]
    Status {
        /// Ask one member for what all of them say of themselves
        #[arg(long)]
        cluster: bool,
        /// The form of the output
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
        #[command(flatten)]
        at: ClientArgs,
    },
    /// Join a cluster that runs, with a ticket, one address and the secret
    #[command(after_help = join::EXAMPLES)]
    Join(Box<join::JoinArgs>),
    /// Show and change who belongs to the cluster
    #[command(after_help = members::EXAMPLES)]
    Members {
        #[command(subcommand)]
        action: members::MembersAction,
        #[command(flatten)]
        at: ClientArgs,
    },
    /// Hand leadership over
    #[command(after_help = members::TRANSFER_EXAMPLES)]
    Transfer {
        #[command(flatten)]
        args: members::TransferArgs,
        #[command(flatten)]
        at: ClientArgs,
    },
    /// Draw tokens for those who may ask members over HTTP
    Token {
        #[command(subcommand)]
        action: token::TokenAction,
    },
    /// Print what a shell needs to complete command lines
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::CompletionsArgs),
}

#[derive(Subcommand)]
enum Inspect {
    /// Print the log's segments and records, and what is wrong with them
    #[command(after_help = inspect::EXAMPLES)]
    Wal(inspect::WalArgs),
    /// Check a backup, and say what it is of
    #[command(after_help = backup::INSPECT_EXAMPLES)]
    Backup(backup::InspectArgs),
}

const SERVE_EXAMPLES: &str = "\
Examples:
  holm serve --config harbour/node1/holm.toml --bootstrap    (once, to form the cluster)
  holm serve --config harbour/node1/holm.toml
  HOLM_LOG=debug holm serve --config harbour/node1/holm.toml --http 127.0.0.1:8080

SIGTERM and SIGINT stop it in good order; SIGHUP has it read its secrets,
tokens and certificates again.";

#[derive(Args)]
struct ServeArgs {
    /// The configuration file (TOML; docs/configuration.md)
    #[arg(long, env = "HOLM_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Form the cluster: only for the first start of its first members
    #[arg(long)]
    bootstrap: bool,
    /// Stop at the end of standard input
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Subcommand)]
enum CounterAction {
    /// Add N (negative to subtract); a repetition after a lost answer does not count twice
    Add {
        /// The counter
        name: String,
        /// How much
        #[arg(default_value_t = 1, allow_negative_numbers = true)]
        by: i64,
        /// The idempotency key, to repeat this very command later; random if it is left out
        #[arg(long)]
        key: Option<String>,
    },
    /// Print the value (0 if nobody has added to it)
    Get {
        /// The counter
        name: String,
        /// Whose state to read; local is the asked member's own, however old
        #[arg(long, value_enum, default_value = "linearizable")]
        consistency: Consistency,
    },
}

#[derive(Subcommand)]
enum KvAction {
    /// Write a key and print its new revision
    Put {
        /// The key
        key: String,
        /// The value; - reads it from standard input
        #[arg(allow_negative_numbers = true)]
        value: std::ffi::OsString,
        /// Only if the key has this revision (0: only if there is no such key)
        #[arg(long, value_name = "REVISION")]
        expect: Option<u64>,
    },
    /// Print a key's value
    Get {
        /// The key
        key: String,
        /// Print the revision instead
        #[arg(long)]
        revision: bool,
        /// Whose state to read; local is the asked member's own, however old
        #[arg(long, value_enum, default_value = "linearizable")]
        consistency: Consistency,
    },
    /// Remove a key
    Delete {
        /// The key
        key: String,
        /// Only if the key has this revision
        #[arg(long, value_name = "REVISION")]
        expect: Option<u64>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Consistency {
    Linearizable,
    Lease,
    Local,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Table,
    Json,
}

fn run_serve(args: &ServeArgs) -> ExitCode {
    let filter = EnvFilter::try_from_env("HOLM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A terminal that was closed must not end the member by a panic about its own log.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal() && !no_color())
        .init();
    let config = match ServeConfig::load(&args.config, &args.overrides) {
        Ok(config) => config,
        Err(error) => return failed(USAGE, &error),
    };
    let start = if args.bootstrap { Start::Bootstrap } else { Start::Join };
    let stdin_ended = args.stop_with_stdin.then(end_of_stdin);
    let until = async move {
        match stdin_ended {
            Some(ended) => drop(ended.await),
            None => std::future::pending().await,
        }
    };
    block_on(async move {
        let reload = || ServeConfig::load(&args.config, &args.overrides);
        match serve(config, reload, start, until).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error @ (ServeError::Log(_) | ServeError::Stopped { stop: Stop::Disk(_), .. })) => {
                failed(DISK_FAILED, &error)
            }
            Err(error @ ServeError::Stopped { stop: Stop::Removed(_), .. }) => {
                failed(REMOVED, &error)
            }
            Err(error) => failed(FAILED, &error),
        }
    })
}

/// As <https://no-color.org> has it.
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Watched by a thread of its own, which ends with the process: a read of standard input can't be
/// cancelled.
fn end_of_stdin() -> oneshot::Receiver<()> {
    let (ended, stdin_ended) = oneshot::channel();
    std::thread::spawn(move || {
        let mut rest = [0; 256];
        while std::io::stdin().read(&mut rest).is_ok_and(|count| count > 0) {}
        // The receiver is gone when the member has stopped already.
        let _ = ended.send(());
    });
    stdin_ended
}

fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    // The member has a thread of its own.
    let built = if has_few_cores() {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()
    };
    match built {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => failed(FAILED, &format!("threads can't be started: {error}")),
    }
}

fn told(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(FAILED, &error),
    }
}

/// Prints; that nobody reads it any more is no error.
pub(super) fn print(bytes: &[u8]) -> Result<(), String> {
    let mut out = Out::new();
    let printed = out.write_all(bytes).and_then(|()| out.flush());
    printed.map_err(|error| format!("standard output can't be written: {error}"))
}

fn failed(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("holm: {error}");
    ExitCode::from(code)
}

/// `5`, `5s` or `500ms`; at least 1 ms, at most an hour.
fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s').unwrap_or(text), 1000),
    };
    let millis = digits.trim().parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    match millis {
        Some(millis @ 1..=3_600_000) => Ok(Duration::from_millis(millis)),
        _ => Err("write a time from 1ms to 3600s, such as 10s or 500ms".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_amount_may_be_negative_and_is_1_when_left_out() {
        for (line, expected) in [("holm counter add n -5", -5), ("holm counter add n", 1)] {
            let Ok(Cli { command: Command::Counter { action, .. } }) = parse(line) else {
                panic!("{line} does not parse");
            };
            assert!(matches!(action, CounterAction::Add { by, .. } if by == expected), "{line}");
        }
    }

    #[test]
    fn endpoints_may_be_given_several_times_or_with_commas() {
        let line = "holm counter get n --endpoint a,b --endpoint c:1 --timeout 500ms";
        let Ok(Cli { command: Command::Counter { at, .. } }) = parse(line) else {
            panic!("{line} does not parse");
        };
        let endpoints: Vec<_> = at.endpoint.iter().map(ToString::to_string).collect();
        assert_eq!(endpoints, ["a:7680", "b:7680", "c:1"]);
        assert_eq!(at.timeout, Duration::from_millis(500));
    }

    #[test]
    fn a_wrong_line_is_an_error_with_the_usage_code() {
        for line in [
            "holm",
            "holm serve",
            "holm counter add",
            "holm counter add n x",
            "holm counter get n --endpoint https://a/b",
            "holm token",
            "holm token new",
            "holm token new --name a --role owner",
            "holm token new --name é --role read",
            "holm completions",
            "holm completions tcsh",
            "holm status --timeout 0",
            "holm status --timeout 2h",
            "holm inspect wal",
            "holm inspect wal p --index x",
            "holm serve --config c --data-dir d --storage memory",
            "holm init --members 3",
            "holm init --dir d",
            "holm init --dir d --members 0",
            "holm init --dir d --members 80",
            "holm init --dir d --members 3 --topology t",
            "holm init --dir d --address a --topology t",
            "holm init --dir d --address ::1",
            "holm init --dir d --address a:0",
        ] {
            let error = parse(line).err().unwrap_or_else(|| panic!("{line} parses"));
            assert_eq!(error.exit_code(), i32::from(USAGE), "{line}");
        }
    }
}
