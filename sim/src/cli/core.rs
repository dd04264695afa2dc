//! The core's world on the command line: one seed or schedule at a time.

use super::{Ended, Form, How, Which, compare};
use holm_sim::core_world::plan::Plan;
use holm_sim::core_world::{self, Outcome, Tracing};
use holm_sim::trace::Trace;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(seed: u64, how: &How) -> Ended {
    play(Plan::draw(seed, how.mode()), how)
}

pub(super) fn replay(which: &Which, how: &How) -> Ended {
    play(plan(which, how)?, how)
}

pub(super) fn schedule(which: &Which, how: &How) -> Ended {
    print(&plan(which, how)?.text())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn trace(which: &Which, form: Form, how: &How) -> Ended {
    let outcome = core_world::replay(plan(which, how)?, Tracing::Kept);
    print(&match form {
        Form::Text => outcome.trace.text(),
        Form::Json => outcome.trace.json(),
        Form::Shiviz => outcome.trace.shiviz(),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Prints much. Who reads may stop when he has seen enough, as `head` does.
fn print(text: &str) -> Result<(), String> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("printing: {error}")),
        _ => Ok(()),
    }
}

fn play(plan: Plan, how: &How) -> Ended {
    quiet();
    let outcome = core_world::replay(plan.clone(), Tracing::Kept);
    if how.twice {
        let again = core_world::replay(plan, Tracing::Kept);
        compare(outcome.seed, &outcome.trace.json(), &again.trace.json())?;
    }
    print(&format!("{}\n\n{}\n{outcome}\n", Trace::COLUMNS, outcome.trace.text()))?;
    Ok(code(&outcome))
}

pub(super) fn shrink(which: &Which, tries: u64, how: &How) -> Ended {
    quiet();
    let before = plan(which, how)?;
    let Some(shrunk) = core_world::shrink(&before, tries) else {
        return Err(format!("seed {} breaks nothing: {}", before.settings.seed, before.words()));
    };
    eprintln!("{} schedules tried", shrunk.tried);
    eprintln!("before: {}", before.words());
    eprintln!("left:   {}", shrunk.plan.words());
    eprintln!("{}: {}", shrunk.checker, shrunk.says);
    print!("{}", shrunk.plan.text());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn regress(which: &Which, folder: &Path, how: &How) -> Ended {
    quiet();
    let before = plan(which, how)?;
    let Some(shrunk) = core_world::shrink(&before, 3_000) else {
        return Err(format!("seed {} breaks nothing: {}", before.settings.seed, before.words()));
    };
    let name = format!("{}-{}.schedule", shrunk.checker.replace(' ', "-"), before.settings.seed);
    let path = folder.join(name);
    let text = shrunk.plan.text();
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let said = format!("{first}\n# {}: {}\n{rest}", shrunk.checker, shrunk.says);
    std::fs::write(&path, said)
        .map_err(|error| format!("writing {} failed: {error}; name a folder", path.display()))?;
    println!("{}: {}", path.display(), shrunk.plan.words());
    Ok(ExitCode::SUCCESS)
}

fn plan(which: &Which, how: &How) -> Result<Plan, String> {
    how.core_alone()?;
    if let Some(seed) = which.seed {
        return Ok(Plan::draw(seed, how.mode()));
    }
    let path = which.file.as_deref().unwrap_or(Path::new(""));
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("reading {} failed: {error}; name a schedule", path.display()))?;
    Plan::parse(&text).map_err(|error| format!("{}, {error}", path.display()))
}

pub(super) fn code(outcome: &Outcome) -> ExitCode {
    if outcome.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What a panic says stands in the outcome.
pub(super) fn quiet() {
    std::panic::set_hook(Box::new(|_| {}));
}
