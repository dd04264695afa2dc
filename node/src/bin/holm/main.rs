//! The `holm` binary: everything is in `holm::server`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    holm::server::cli::main()
}
