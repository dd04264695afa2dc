//! The core's world: some hundreds of seeds keep every promise and reach every kind of fault, equal
//! schedules have equal traces, what was found once stays mended, and a schedule's text says what
//! is wrong with it.

use holm_sim::core_world::plan::Plan;
use holm_sim::core_world::{self, Coverage, Mode, Tracing};
use std::path::Path;
use std::process::Command;

#[test]
fn the_core_and_the_log_keep_every_promise_under_every_kind_of_fault() {
    let mut coverage = Coverage::default();
    let (mut commits, mut elections, mut answered, mut installed) = (0, 0, 0, 0);
    for seed in 0..300 {
        let outcome = core_world::run(seed, Mode::Within, Tracing::Off);
        assert_eq!(outcome.violation, None, "seed {seed}");
        coverage += &outcome.coverage;
        commits += outcome.commits;
        elections += outcome.elections;
        answered += outcome.answered;
        installed += outcome.installed;
    }
    // A run in which nothing happened shows nothing.
    assert!(coverage.missing().is_empty(), "never happened: {:?}", coverage.missing());
    let arms = coverage.missing_arms();
    assert!(arms.is_empty(), "never reached: {arms:?}");
    let none = Coverage::default().missing_arms();
    for arm in ["a leader takes appended", "a candidate becomes leader"] {
        assert!(none.contains(arm), "{none:?}");
    }
    assert!(coverage.faults() > 10_000, "{}", coverage.faults());
    assert!(commits > 30_000 && elections > 800 && answered > 40_000);
    assert!(installed > 100, "{installed}");
}

#[test]
fn clocks_that_stray_further_than_leases_allow_for_break_lease_reads_and_nothing_else() {
    let mut stale = 0;
    for seed in 0..120 {
        let outcome = core_world::run(seed, Mode::BeyondDrift, Tracing::Off);
        assert_eq!(outcome.violation, None, "seed {seed}");
        stale += outcome.stale_leases;
    }
    assert!(stale > 0, "nothing is shown");
}

fn trace(seed: u64) -> String {
    core_world::run(seed, Mode::Within, Tracing::Kept).trace.json()
}

#[test]
fn equal_seeds_have_equal_traces_in_one_process_and_in_two() {
    for seed in 0..12 {
        let in_another_process = Command::new(env!("CARGO_BIN_EXE_holm-sim"))
            .args(["trace", "--world", "core", "--json", "--seed", &seed.to_string()])
            .output()
            .expect("it is built");
        let here = trace(seed);
        assert_eq!(here, trace(seed), "seed {seed}");
        assert_eq!(here, String::from_utf8_lossy(&in_another_process.stdout), "seed {seed}");
        assert_ne!(here, trace(seed + 1));
    }
}

#[test]
fn a_run_is_the_same_whether_its_trace_is_kept_or_not() {
    for seed in 0..20 {
        let kept = core_world::run(seed, Mode::Within, Tracing::Kept).json();
        assert_eq!(kept, core_world::run(seed, Mode::Within, Tracing::Off).json());
    }
}

#[test]
fn what_was_found_once_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut count = 0;
    for file in std::fs::read_dir(folder).expect("the folder is kept") {
        let path = file.expect("listed").path();
        if path.extension().is_none_or(|extension| extension != "schedule") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a text");
        let plan = Plan::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let outcome = core_world::replay(plan, Tracing::Off);
        assert_eq!(outcome.violation, None, "{}", path.display());
        count += 1;
    }
    assert!(count > 0, "no schedule is kept");
}

#[test]
fn a_schedules_text_says_all_of_it() {
    for seed in 0..50 {
        let plan = Plan::draw(seed, Mode::Within);
        assert_eq!(Plan::parse(&plan.text()), Ok(plan), "seed {seed}");
    }
}

#[test]
fn what_is_wrong_with_a_schedule_is_said_by_line_key_and_mend() {
    let whole = "holm-schedule 2\nset members 3\nisland member=1 is=1\nisland member=2 is=1\n\
                 island member=3 is=2\nlink from=1 to=2 low=1 high=2\n";
    assert!(Plan::parse(whole).is_ok());
    for (more, said) in [
        ("set members\n", "line 7: `set` takes a key and a value"),
        ("set nodes 3\n", "line 7: `nodes` is no setting; there are seed, members"),
        ("set members x\n", "line 7: `members` is `x`; write a whole number"),
        ("set voters 65\n", "line 7: `voters` is 65; write a number from 1 to 64"),
        ("\nset voters 4\n", "line 8: `voters` is 4; write at most `members`, 3"),
        ("set heartbeat_ticks 15\n", "`heartbeat_ticks` is 15; write less than `election_ticks`"),
        ("island member=5 is=1\n", "line 7: `member` is 5; islands go by members, write 4"),
        ("island member=4\n", "line 7: `is` is missing; write `is=NUMBER`"),
        ("link from=1 to=2 low=9 high=2\n", "line 7: `low` is 9 and `high` is 2"),
        ("link from=1 to=4 low=1 high=2\n", "a link from 1 to 4; members are 1 to 3"),
        ("at 5 explode member=1\n", "line 7: nothing is called `explode`; there are cut, part"),
        ("at 5 kill member=1\n", "line 7: `lasting` is missing; write `lasting=NUMBER`"),
        ("at 5 kill member=1 lasting=2 at=3\n", "line 7: `kill` has no key `at`; leave it out"),
        ("at 5 kill member=4 lasting=2\n", "at 5, `kill` has member=4; members are 1 to 3"),
        ("at 5 kill member=1 member=1\n", "line 7: `member` is there twice"),
        ("at 5 kill 1\n", "line 7: `1` is no key with a value; write KEY=NUMBER"),
        ("at 5 read client=1 key=9 at=1\n", "at 5, key=9; write a key from 0 to 3"),
        (
            "at 5 wipe member=1 lasting=1\nat 4 wipe member=1 lasting=1\n",
            "line 8: `at` is 4, before the line above; write the lines in order",
        ),
        ("wait 5\n", "line 7: `wait` begins no line; write `set`, `island`, `link` or `at`"),
    ] {
        let error = Plan::parse(&format!("{whole}{more}")).expect_err(more).to_string();
        assert!(error.contains(said), "{more}: {error}");
    }
    for (text, said) in [
        ("", "line 1: a schedule begins with `holm-schedule 2`; write that"),
        ("holm-schedule 1\n", "line 1: this schedule is of version 1, and this build replays 2"),
    ] {
        assert!(Plan::parse(text).expect_err(text).to_string().starts_with(said));
    }
}

#[test]
fn a_failing_schedule_shrinks_to_what_it_fails_by() {
    let mut plan = Plan::draw(7, Mode::Within);
    assert!(core_world::shrink(&plan, 10).is_none(), "it does not fail");
    // Nobody can catch up in no time.
    plan.settings.patience = 0;
    let shrunk = core_world::shrink(&plan, 500).expect("it fails");
    assert_eq!(shrunk.checker, "liveness");
    assert!(shrunk.plan.happenings.is_empty(), "{}", shrunk.plan.words());
    assert_eq!(shrunk.plan.settings.members, 1);
    let again = Plan::parse(&shrunk.plan.text()).expect("its own text");
    let outcome = core_world::replay(again, Tracing::Off);
    assert_eq!(outcome.violation.expect("it still fails").says, shrunk.says);
}

#[test]
fn what_is_wrong_with_an_argument_is_said_with_its_mend() {
    for (arguments, said) in [
        (&["run", "--seed", "x"][..], "`x` is no seed; write a whole number, as in 7"),
        (&["sweep", "--seeds", "5..5"], "`5..5` is no range of seeds; write FIRST..END"),
        (&["sweep", "--seeds", "0..9", "--jobs", "0"], "`0` is no count of jobs; write a whole"),
        (&["sweep", "--seeds", "0..9", "--shard", "4/4"], "`4/4` is no shard; write I/N, as in"),
        (&["trace", "--seed", "7", "--text", "--json"], "cannot be used with '--json'"),
        (&["replay", "nowhere.schedule"], "reading nowhere.schedule failed"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holm-sim"));
        let output = command.args(arguments).output().expect("it is built");
        let says = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && says.contains(said), "{arguments:?}: {says}");
        assert!(output.stdout.is_empty(), "nothing is run");
    }
}
