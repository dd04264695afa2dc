//! `holm recover`: goes on with one member where a majority is lost for good.

use super::{USAGE, duration, failed, print, told};
use crate::config::{Config, Start};
use crate::open::edges;
use crate::recover::Recovery;
use crate::server::file::{Overrides, ServeConfig};
use clap::Args;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

pub(super) const EXAMPLES: &str = "\
Examples:
  holm recover --config /etc/holm/node1/holm.toml --members 1,2,3
  holm recover --config /etc/holm/node1/holm.toml --members 1 --yes";

#[derive(Args)]
pub(super) struct RecoverArgs {
    /// The configuration of the member to go on from, which must not run
    #[arg(long, env = "HOLM_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Who the members are from now on: this one votes, the others may come back wiped
    #[arg(long, value_name = "ID,ID", value_delimiter = ',', required = true)]
    members: Vec<u64>,
    /// How long to look for a majority first
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    wait: Duration,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(args: &RecoverArgs) -> ExitCode {
    match ServeConfig::load(&args.config, &Overrides::default()) {
        Ok(config) => told(recover(args, config.into_config(Start::Join)).await),
        Err(error) => failed(USAGE, &error),
    }
}

async fn recover(args: &RecoverArgs, config: Config) -> Result<(), String> {
    let edges = edges(&config.storage).map_err(|error| error.to_string())?;
    let plan = Recovery::plan(config, edges, &args.members, args.wait).await;
    let plan = plan.map_err(|error| error.to_string())?;
    print(plan.prospect().to_string().as_bytes())?;
    if !args.yes {
        agreed(&plan.prospect().cluster)?;
    }
    let member = plan.prospect().member;
    let file = plan.carry_out().await.map_err(|error| error.to_string())?;
    print(
        format!(
            "Done, and written down in {file}, beside the log. Start member {member} without \
             --bootstrap.\nNever start the others on what they have: empty their data_dir first, \
             and let them in again.\n"
        )
        .as_bytes(),
    )
}

/// Whoever sits at the terminal has to say what he means.
fn agreed(cluster: &str) -> Result<(), String> {
    let refused = || Err("nothing was changed; to do it, say --yes".to_owned());
    if !std::io::stdin().is_terminal() {
        return refused();
    }
    let mut stderr = std::io::stderr();
    // If it can't be asked it is not answered either.
    let _ = write!(stderr, "Write the cluster's name to go on: ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(_) if answer.trim() == cluster => Ok(()),
        _ => refused(),
    }
}
