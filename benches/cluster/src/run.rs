//! The run: in each round all subjects take turns, each as a new cluster on empty directories.

use crate::cluster::Cluster;
use crate::load::{Load, Work};
use crate::subject::{Programs, Subject};
use crate::table::Seen;
use crate::{failover, restart};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// What is measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// Where the members' directories are put: its disk is measured
    #[arg(long, default_value = ".")]
    directory: PathBuf,
    /// The holm binary
    #[arg(long, env = "HOLM")]
    holm: Option<PathBuf>,
    /// The etcd binary
    #[arg(long, env = "ETCD", default_value = "etcd")]
    etcd: PathBuf,
    /// The redis-server binary
    #[arg(long, env = "REDIS_SERVER", default_value = "redis-server")]
    redis: PathBuf,
    /// What is measured, by turns [default: all]
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<Subject>,
    /// Which parts
    #[arg(long, value_delimiter = ',', default_value = "speed,failover,restart")]
    parts: Vec<Part>,
    /// What clients ask for
    #[arg(long, value_delimiter = ',', default_value = "put,add,read")]
    work: Vec<Work>,
    /// How many clients there are, by turns
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    clients: Vec<usize>,
    /// How often all take their turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each is measured each time, in milliseconds; a quarter more is warm-up
    #[arg(long, default_value_t = 1000)]
    millis: u64,
    /// How many leaders are killed
    #[arg(long, default_value_t = 30)]
    kills: usize,
    /// How many entries a cluster has that is started again
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// The threads of the embedded members' runtimes; 0: one, the current one
    #[arg(long, default_value_t = 0)]
    workers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Throughput, latency, processor time
    Speed,
    /// Time without a leader
    Failover,
    /// Memory, and the restart of a cluster with many entries
    Restart,
}

pub(crate) fn run(args: &RunArgs) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let programs = Programs {
        own,
        holm: args.holm.clone().filter(|path| path.exists()),
        etcd: found(&args.etcd),
        redis: found(&args.redis),
        workers: args.workers,
    };
    let wanted = if args.subjects.is_empty() { &Subject::ALL[..] } else { &args.subjects };
    let mut subjects = Vec::new();
    for subject in wanted {
        match subject.missing(&programs) {
            None => subjects.push(*subject),
            Some(mend) => println!("*** {} IS NOT MEASURED: {mend} ***", subject.name()),
        }
    }
    if args.parts.contains(&Part::Speed) {
        speed(args, &programs, &subjects)?;
    }
    if args.parts.contains(&Part::Failover) {
        let able = [Subject::Holm, Subject::Openraft, Subject::Etcd];
        let able: Vec<_> = able.into_iter().filter(|able| subjects.contains(able)).collect();
        failover::run(&able, &programs, &args.directory, args.kills)?;
    }
    if args.parts.contains(&Part::Restart) {
        let able = [Subject::Holm, Subject::Etcd];
        let able: Vec<_> = able.into_iter().filter(|able| subjects.contains(able)).collect();
        restart::run(&able, &programs, &args.directory, args.entries)?;
    }
    Ok(())
}

fn speed(args: &RunArgs, programs: &Programs, subjects: &[Subject]) -> Result<(), String> {
    let mut seen = Seen::default();
    for round in 1..=args.rounds {
        for subject in subjects {
            eprintln!("round {round} of {}: {}", args.rounds, subject.name());
            let mut cluster = Cluster::start(*subject, programs, &args.directory, false)?;
            for work in args.work.iter().filter(|work| subject.does(**work)) {
                for clients in &args.clients {
                    let measured = Duration::from_millis(args.millis);
                    let load =
                        Load { work: *work, clients: *clients, warm_up: measured / 4, measured };
                    let measured = cluster.load(load)?;
                    let rate = measured.loaded.rate();
                    eprintln!("    {work:?} at {clients} clients: {rate:.0}/s");
                    seen.add(*subject, *work, *clients, measured);
                }
            }
        }
    }
    for work in &args.work {
        seen.print(*work, subjects, &args.clients);
    }
    Ok(())
}

/// The program, as a path or somewhere in PATH.
fn found(program: &PathBuf) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).map(|place| place.join(program));
    std::iter::once(program.clone()).chain(places).find(|path| path.is_file())
}
