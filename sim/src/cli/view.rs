//! `view`: a seed's run, a schedule's, or a trace that is in a file, as one HTML file.

use super::core::quiet;
use super::{Ended, How, Viewed};
use holm_sim::core_world::plan::Plan;
use holm_sim::core_world::{self, Tracing};
use holm_sim::view::page;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) fn view(which: &Viewed, out: Option<PathBuf>, how: &How) -> Ended {
    quiet();
    let (trace, name) = match (which.seed, which.file.as_deref()) {
        (Some(seed), _) => {
            how.core_alone()?;
            (run(Plan::draw(seed, how.mode())), format!("seed-{seed}").into())
        }
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

fn run(plan: Plan) -> String {
    core_world::replay(plan, Tracing::Kept).trace.json()
}

/// What a file has: a schedule is run, and anything else has to be a trace.
fn read(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!("reading {} failed: {error}; name a schedule or a trace", path.display())
    })?;
    if !text.starts_with("holm-schedule") {
        return Ok(text);
    }
    let plan = Plan::parse(&text).map_err(|error| format!("{}, {error}", path.display()))?;
    Ok(run(plan))
}
