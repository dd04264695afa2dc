//! One process of a cluster: it takes orders on its standard input, a line each, answers them on
//! its standard output, says there whenever it knows another leader, and ends with its input.

mod holm;

use crate::load::{Client, Load, Loaded, drive};
use clap::{Args, ValueEnum};
use rustix::time::{ClockId, clock_gettime};
use std::io::BufRead;
use std::path::PathBuf;
use tokio::sync::mpsc;

/// Which process of which cluster it is.
#[derive(Args, Clone, Debug)]
pub(crate) struct MemberArgs {
    pub(crate) kind: Kind,
    /// 1, 2 or 3
    #[arg(long)]
    pub(crate) id: u64,
    /// The members' ports on loopback
    #[arg(long, value_delimiter = ',')]
    pub(crate) ports: Vec<u16>,
    /// The port for clients
    #[arg(long, default_value_t = 0)]
    pub(crate) clients: u16,
    /// Its own directory, which is there
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// Keep the log in memory
    #[arg(long)]
    pub(crate) memory: bool,
    /// Seal the links
    #[arg(long)]
    pub(crate) sealed: bool,
    /// Take no snapshots
    #[arg(long)]
    pub(crate) no_snapshots: bool,
    /// It has run before
    #[arg(long)]
    pub(crate) again: bool,
    /// The threads of its runtime; 0: one, the current one
    #[arg(long, default_value_t = 0)]
    pub(crate) workers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Holm,
    Openraft,
    Floor,
}

impl MemberArgs {
    pub(crate) fn address(&self, id: u64) -> String {
        let at = usize::try_from(id).unwrap_or(0).saturating_sub(1);
        format!("127.0.0.1:{}", self.ports[at])
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = u64> + use<> {
        (1..).take(self.ports.len())
    }
}

pub(crate) fn run(args: MemberArgs) -> Result<(), String> {
    if args.kind == Kind::Floor {
        return crate::floor::run(&args);
    }
    let runtime = match args.workers {
        0 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        workers => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(workers).enable_all().build()
        }
    };
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(async {
        match args.kind {
            Kind::Holm => holm::run(&args).await,
            Kind::Openraft => crate::openraft::run(&args).await,
            Kind::Floor => Ok(()),
        }
    })
}

/// The lines of the standard input.
pub(crate) fn orders() -> impl Iterator<Item = String> {
    std::io::stdin().lock().lines().map_while(Result::ok)
}

/// Does what it is ordered, by `clients` that the member makes, until the input ends.
pub(crate) async fn obey<C: Client>(clients: impl Fn(Load) -> Vec<C>) -> Result<(), String> {
    let (tell, mut told) = mpsc::unbounded_channel();
    std::thread::spawn(move || orders().try_for_each(|order| tell.send(order)));
    while let Some(order) = told.recv().await {
        let load: Load = order.parse()?;
        let loaded: Loaded = drive(clients(load), load).await;
        println!("{loaded}");
    }
    Ok(())
}

/// This member knows that leader from now on; 0: none.
pub(crate) fn leads(leader: u64) {
    println!("leader {leader} {}", clock());
}

/// Nanoseconds of a clock that all processes share.
pub(crate) fn clock() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec)
}
