//! One seed or schedule at a time, in either world.

use super::schedule::Schedule;
use super::{Ended, Form, How, Which, compare};
use holm_sim::trace::Trace;
use holm_sim::{Outcome, Tracing};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(seed: u64, how: &How) -> Ended {
    how.check()?;
    play(&Schedule::draw(seed, how), how)
}

pub(super) fn replay(which: &Which, how: &How) -> Ended {
    play(&Schedule::of(which, how)?, how)
}

pub(super) fn schedule(which: &Which, how: &How) -> Ended {
    print(&Schedule::of(which, how)?.text())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn trace(which: &Which, form: Form, how: &How) -> Ended {
    quiet();
    let outcome = Schedule::of(which, how)?.run(Tracing::Kept)?;
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

fn play(schedule: &Schedule, how: &How) -> Ended {
    quiet();
    let outcome = schedule.run(Tracing::Kept)?;
    if how.twice {
        let again = schedule.run(Tracing::Kept)?;
        compare(outcome.seed, &outcome.trace.json(), &again.trace.json())?;
    }
    print(&format!("{}\n\n{}\n{outcome}\n", Trace::COLUMNS, outcome.trace.text()))?;
    Ok(code(&outcome))
}

pub(super) fn shrink(which: &Which, tries: u64, how: &How) -> Ended {
    quiet();
    let before = Schedule::of(which, how)?;
    let shrunk = before.shrink(tries)?;
    eprintln!("{} schedules tried", shrunk.tried);
    eprintln!("before: {}", before.words());
    eprintln!("left:   {}", shrunk.plan.words());
    eprintln!("{}: {}", shrunk.checker, shrunk.says);
    print(&shrunk.plan.text())?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn regress(which: &Which, folder: &Path, tries: u64, how: &How) -> Ended {
    quiet();
    let before = Schedule::of(which, how)?;
    let shrunk = before.shrink(tries)?;
    let name = format!("{}-{}.schedule", shrunk.checker.replace(' ', "-"), before.seed());
    let path = folder.join(before.folder()).join(name);
    let text = shrunk.plan.text();
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let says = shrunk.says.lines().next().unwrap_or_default();
    let said = format!("{first}\n# {}: {says}\n{rest}", shrunk.checker);
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    written
        .and_then(|()| std::fs::write(&path, said))
        .map_err(|error| format!("writing {} failed: {error}; name a folder", path.display()))?;
    println!("{}: {}", path.display(), shrunk.plan.words());
    Ok(ExitCode::SUCCESS)
}

fn code(outcome: &Outcome) -> ExitCode {
    if outcome.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What a panic says stands in the outcome.
pub(super) fn quiet() {
    std::panic::set_hook(Box::new(|_| {}));
}
