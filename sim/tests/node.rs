//! The schedules of the node's world, which any build can draw, write, read and judge: their text
//! says all of them, and what is wrong with one is said by line, key and mend.

use holm_sim::node_world::plan::Plan;
use holm_sim::{Mode, Schedule};
use std::process::Command;

#[test]
fn a_schedules_text_says_all_of_it() {
    for seed in 0..100 {
        for mode in [Mode::Within, Mode::BeyondDrift, Mode::BeyondDisks] {
            let plan = Plan::draw(seed, mode);
            assert_eq!(Plan::parse(&plan.text()), Ok(plan), "seed {seed}");
        }
    }
}

#[test]
fn a_plan_without_its_last_members_is_sound_or_nothing() {
    for seed in 0..100 {
        let plan = Plan::draw(seed, Mode::Within);
        for members in 1..plan.settings.members {
            let Some(fewer) = plan.without_members_above(members) else { continue };
            assert_eq!(fewer.settings.members, members);
            assert_eq!(Plan::parse(&fewer.text()), Ok(fewer), "seed {seed}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_schedule_is_said_by_line_key_and_mend() {
    let member = |number: u64| {
        format!("member number={number} island=1 listens=1 relays=1 rate=1000000 ahead=0\n")
    };
    let whole = format!("holm-node-schedule 1\nset members 2\n{}{}", member(1), member(2));
    assert!(Plan::parse(&whole).is_ok(), "{:?}", Plan::parse(&whole));
    for (more, said) in [
        ("set members\n", "line 5: `set` takes a key and a value"),
        ("set nodes 3\n", "line 5: `nodes` is no setting; there are seed, members"),
        ("set members x\n", "line 5: `members` is `x`; write a whole number"),
        ("set members 65\n", "line 5: `members` is 65; write a number from 1 to 64"),
        ("set members 3\n", "there are 2 `member` lines; write one a member, 3"),
        ("set heartbeat_ticks 15\n", "`heartbeat_ticks` is 15; write less than `election_ticks`"),
        ("set segment_bytes 5000\n", "`segment_bytes` is 5000; write a multiple of 512"),
        ("set voters 65\n", "line 5: `voters` is 65; write a number from 0 to 64"),
        (
            "set in_memory 1\n",
            "`in_memory` is 1; write less than half of those that form the cluster",
        ),
        ("set disk_low 9999\n", "`disk_low` is above `disk_high`"),
        ("member number=5\n", "line 5: `island` is missing; write `island=NUMBER`"),
        (
            "member number=5 island=1 listens=1 relays=1 rate=1000000 ahead=0\n",
            "line 5: `number` is 5; members go by number, write 3",
        ),
        (
            "member number=3 island=1 listens=2 relays=1 rate=1000000 ahead=0\n",
            "line 5: `listens` is 2; write at most 1",
        ),
        (
            "member number=3 island=1 listens=1 relays=1 rate=0 ahead=0\n",
            "line 5: `rate` is 0; write the microseconds",
        ),
        ("closed from=1\n", "line 5: `to` is missing; write `to=NUMBER`"),
        (
            "link from=1 to=2 latency=1 jitter=1 slow=0 lost=0 bandwidth=0 window=1\n",
            "line 5: `bandwidth` is 0; write how many bytes",
        ),
        (
            "link from=1 to=3 latency=1 jitter=1 slow=0 lost=0 bandwidth=1 window=1\n",
            "a link from 1 to 3; members are 1 to 2",
        ),
        ("at 5 explode member=1\n", "line 5: nothing is called `explode`; there are cut, part"),
        ("at 5 kill member=1\n", "line 5: `lasting` is missing; write `lasting=NUMBER`"),
        ("at 5 kill member=1 lasting=2 at=3\n", "line 5: `kill` has no key `at`; leave it out"),
        ("at 5 kill member=3 lasting=2\n", "at 5, `kill` has member=3; members are 1 to 2"),
        ("at 5 hang a=1 b=1\n", "at 5, `hang` has one member twice; write two"),
        ("at 5 rate member=1 permille=0 lasting=1\n", "at 5, `permille` is 0; write at least 1"),
        ("at 5 read client=1 key=9 at=1\n", "at 5, key=9; write a key from 0 to 3"),
        (
            "at 5 reset a=1 b=2\nat 4 reset a=1 b=2\n",
            "line 6: `at` is 4, before the line above; write the lines in order",
        ),
        ("wait 5\n", "line 5: `wait` begins no line; write `set`, `member`, `closed`"),
    ] {
        let error = Plan::parse(&format!("{whole}{more}")).expect_err(more).to_string();
        assert!(error.contains(said), "{more}: {error}");
    }
    let apart = whole.replace("number=2 island=1 listens=1", "number=2 island=2 listens=1");
    let closed = format!("{apart}closed from=1 to=2\nclosed from=2 to=1\n");
    let error = Plan::parse(&closed).expect_err("nobody reaches anybody").to_string();
    assert!(error.contains("the members and islands make no topology: "), "{error}");
    for (text, said) in [
        ("holm-schedule 1\n", "line 1: a schedule begins with `holm-node-schedule 1`; write that"),
        ("holm-node-schedule 9\n", "line 1: this schedule is of version 9, and this build replays"),
    ] {
        assert!(Plan::parse(text).expect_err(text).to_string().starts_with(said));
    }
}

#[test]
fn a_build_that_can_not_run_the_nodes_world_says_which_can() {
    let run = ["sweep", "--world", "node", "--seeds", "0..1"];
    let output = Command::new(env!("CARGO_BIN_EXE_holm-sim")).args(run).output().expect("built");
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && says.contains("run it with `cargo sim`"), "{says}");
}
