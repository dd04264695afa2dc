//! `view`: a seed's run, a schedule's, or a trace that is in a file, as one HTML file.

use super::one::quiet;
use super::schedule::Schedule;
use super::{Ended, How, Viewed};
use holm_sim::Tracing;
use holm_sim::view::page;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) fn view(which: &Viewed, out: Option<PathBuf>, how: &How) -> Ended {
    how.check()?;
    quiet();
    let (trace, name) = match (which.seed, which.file.as_deref()) {
        (Some(seed), _) => (run(&Schedule::draw(seed, how))?, format!("seed-{seed}").into()),
        (None, file) => {
            let path = file.unwrap_or(Path::new(""));
            (read(path)?, PathBuf::from(path.file_name().unwrap_or_default()))
        }
    };
    let page = page(&trace).map_err(|error| {
        let file = which.file.as_deref().unwrap_or(Path::new("the trace"));
        format!("{}, {error}", file.display())
    })?;
    let out = out.unwrap_or_else(|| name.with_extension("html"));
    std::fs::write(&out, page)
        .map_err(|error| format!("writing {} failed: {error}; name a file", out.display()))?;
    println!("{}: open it in a browser", out.display());
    Ok(ExitCode::SUCCESS)
}

fn run(schedule: &Schedule) -> Result<String, String> {
    Ok(schedule.run(Tracing::Kept)?.trace.json())
}

/// What a file has: a schedule is run, and anything else has to be a trace.
fn read(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!("reading {} failed: {error}; name a schedule or a trace", path.display())
    })?;
    let first = text.lines().next().unwrap_or_default();
    if first.starts_with("holm-") && first.contains("schedule") {
        return run(&Schedule::parse(&text, path)?);
    }
    Ok(text)
}
