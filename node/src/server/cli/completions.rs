//! `holm completions`: what a shell needs to complete command lines.

use super::{Cli, print};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  holm completions bash > ~/.local/share/bash-completion/completions/holm
  holm completions zsh > ~/.zfunc/_holm
  holm completions fish > ~/.config/fish/completions/holm.fish";

pub(super) fn run(args: &CompletionsArgs) -> Result<(), String> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "holm", &mut script);
    print(&script)
}
