//! Runs on the islands, members and links of a topology file, and what is said of one that is
//! wrong.

use holm::topology::Topology;
use holm_sim::core_world::plan::Plan;
use holm_sim::core_world::{self, Given, Mode, Tracing};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A hub that accepts, and spokes on islands of their own that only dial it.
const HUB: &str = r#"
[[islands]]
name = "hub"
[[islands]]
name = "east"
[[islands]]
name = "west"
[[members]]
id = 1
island = "hub"
address = "10.0.0.1"
[[members]]
id = 2
island = "east"
[[members]]
id = 3
island = "west"
"#;

fn given(text: &str) -> Given {
    let topology = Topology::parse(text).expect("a topology");
    Given::of(&topology).expect("one for this world")
}

#[test]
fn runs_are_on_the_islands_and_links_of_a_topology_and_keep_every_promise() {
    let given = given(HUB);
    let mut latencies = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let plan = Plan::draw_on(seed, Mode::Within, &given);
        assert_eq!((plan.settings.members, plan.settings.relaying), (3, 1));
        assert_eq!(plan.islands, [1, 2, 3]);
        let links: Vec<_> = plan.links.iter().map(|link| (link.from, link.to)).collect();
        assert_eq!(links, [(2, 1), (3, 1)], "who has no address dials");
        latencies.extend(plan.links.iter().map(|link| link.high));
        let outcome = core_world::replay(plan, Tracing::Off);
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert!(outcome.commits > 1, "seed {seed}");
    }
    assert!(latencies.len() > 5, "how quick a link is, is drawn");
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("written");
    path
}

fn sim(arguments: &[&str], topology: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holm-sim"));
    command.args(arguments).arg("--topology").arg(topology).output().expect("it is built")
}

fn said(output: &Output) -> String {
    assert!(!output.status.success(), "it is refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_is_wrong_with_a_topology_is_said_by_file_line_key_and_mend() {
    let run = ["run", "--world", "core", "--seed", "1"];
    let (two, _) = HUB.rsplit_once("[[members]]").expect("there are three");
    let two = two.replace("[[islands]]\nname = \"west\"\n", "");
    for (nth, (text, told)) in [
        (HUB.replace("id = 3", "id = \"x\""), ":16: id: invalid type"),
        (HUB.replace("id = 3", "id = 3\nspeed = 1"), ":17: speed: unknown field `speed`"),
        (HUB.replace("id = 3", "id = 4"), "id: none of the 3 members has the id 3; number them"),
        (
            HUB.replace("id = 3", "id = 3\nrelay = false"),
            "relay: 2 of 3 members relay; in the core's world all do or none",
        ),
        (two, "members: there are 2; give 3 to 64"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = file(&format!("wrong-{nth}.toml"), &text);
        let said = said(&sim(&run, &path));
        let name = path.display().to_string();
        assert!(said.contains(&name) && said.contains(told), "{told}: {said}");
    }
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-such.toml");
    assert!(said(&sim(&run, &missing)).contains("name a topology"));
}

#[test]
fn a_topology_is_taken_only_where_it_counts() {
    let hub = file("hub.toml", HUB);
    assert!(sim(&["run", "--world", "core", "--seed", "1"], &hub).status.success());
    let node = said(&sim(&["run", "--world", "node", "--seed", "1"], &hub));
    assert!(node.contains("the node's world draws its topologies"), "{node}");
    let schedule = file("own.schedule", &Plan::draw(1, Mode::Within).text());
    let schedule = schedule.display().to_string();
    let replay = said(&sim(&["replay", "--world", "core", &schedule], &hub));
    assert!(replay.contains("a schedule has its own islands and links"), "{replay}");
}
