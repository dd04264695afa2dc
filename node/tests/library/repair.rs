//! A member whose log has rotted fetches exactly the damaged entries from the others, before it
//! takes part again, and then has what they have.

use holm::{Config, Listen, Node, Security, StateMachine, Storage};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Words(Vec<String>);

impl StateMachine for Words {
    type Command = String;
    type Reply = u64;
    type Snapshot = Self;

    fn apply(&mut self, word: String) -> u64 {
        self.0.push(word);
        self.0.len() as u64
    }

    fn snapshot(&self) -> Self {
        self.clone()
    }

    fn restore(snapshot: Self) -> Self {
        snapshot
    }
}

/// Changes one letter of the word, wherever it stands in the log's files.
fn rot(folder: &Path, word: &str) {
    let mut rotted = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let places = bytes.windows(word.len()).enumerate();
        let found = places.filter(|(_, part)| *part == word.as_bytes()).map(|(at, _)| at);
        let found: Vec<usize> = found.collect();
        found.iter().for_each(|at| bytes[*at] ^= 1);
        if !found.is_empty() {
            rotted += found.len();
            std::fs::write(&path, bytes).unwrap();
        }
    }
    assert_eq!(rotted, 1, "the word stands in the log once");
}

#[tokio::test]
async fn a_member_whose_log_has_rotted_fetches_the_damaged_entries_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let configs = Config::local_cluster(3).await.unwrap();
    let topology = configs[0].topology.clone();
    let settle = |config: &mut Config| {
        config.storage = Storage::Disk(folder.path().join(config.node.to_string()));
        config.request_timeout = Duration::from_secs(30);
        config.segment_bytes = 1 << 20;
        config.command_bytes_max = 1 << 10;
    };
    let mut nodes = Vec::new();
    for mut config in configs {
        settle(&mut config);
        nodes.push(Node::open(config, Words::default()).await.unwrap());
    }
    for number in 0..60 {
        nodes[0].propose(format!("word-{number:03}")).await.unwrap();
    }
    let third = nodes.pop().unwrap();
    third.status().wait_for(|status| status.applied >= 60).await.unwrap();
    third.shutdown().await;
    drop(third);
    rot(&folder.path().join("3"), "word-030");
    rot(&folder.path().join("3"), "word-031");
    rot(&folder.path().join("3"), "word-045");

    let address = topology.member(3).unwrap().address.clone().unwrap();
    let mut again = Config::new("local", 3, topology, Security::Insecure);
    settle(&mut again);
    again.listen = Some(Listen::Address(address));
    let third = Node::open(again, Words::default()).await.unwrap();
    nodes[0].propose("one more".to_owned()).await.unwrap();
    let words = third.read(|words| words.0.clone()).await.unwrap();
    let expected: Vec<String> = (0..60).map(|number| format!("word-{number:03}")).collect();
    assert_eq!(words[..60], expected[..]);
    assert_eq!(words[60..], ["one more"]);
}
