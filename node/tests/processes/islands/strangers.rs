//! Strangers at a member's port, thousands of them, while the cluster works.

use super::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// All that come, and how many of them at a time: a machine may allow a thousand open files.
const STRANGERS: u64 = 10_000;
const WAVE: u64 = 250;
/// How much more memory of its own the member may have afterwards, in bytes: what strangers can
/// make it hold (5 MiB), and what its log and its clients need meanwhile.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_goes_on_while_strangers_attack_the_port_of_its_leader() {
    let ports = free_ports(3).unwrap();
    let address = |id: u64| Some(loopback(ports[usize::try_from(id).unwrap() - 1]));
    let mut cluster = start(topology(3, address, |_, _| true), BTreeMap::new(), PATIENT).await;
    let pairs = [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)];
    for (from, to) in pairs {
        until(&cluster, from, |status| {
            let other = status.members.iter().find(|member| member.node == to)?;
            ["direct", "inbound"].contains(&other.reached.as_str()).then_some(())
        })
        .await;
    }
    let attacked = cluster.leader(STUCK).await.unwrap();
    let before = (elections(&cluster).await, cluster.own_memory_of(attacked).unwrap());
    let clients = Clients::start(&cluster, &[1, 2, 3]);
    clients.go_on().await;
    for _ in 0..STRANGERS / WAVE {
        let strangers = wave(&address(attacked).unwrap()).await;
        clients.go_on().await;
        drop(strangers);
    }
    let all_refused = |status: &Status| {
        let refused: u64 = status.refused.values().sum();
        (refused >= STRANGERS).then_some(())
    };
    until(&cluster, attacked, all_refused).await;
    clients.go_on().await;
    let sum = clients.stop().await;
    let (elections_before, own_before) = before;
    assert_eq!(elections(&cluster).await, elections_before, "term, leader, elections");
    let grown = cluster.own_memory_of(attacked).unwrap().saturating_sub(own_before);
    assert!(grown <= GROWTH_BYTES_MAX, "{grown} bytes more");
    check_everywhere(&mut cluster, sum).await;
}

/// Connections of strangers, each with something that nobody says who belongs there.
async fn wave(address: &str) -> Vec<TcpStream> {
    let mut strangers = Vec::new();
    for number in 0..WAVE {
        let mut stranger = TcpStream::connect(address).await.expect("it listens");
        let says = match number % 4 {
            0 => &b""[..],
            1 => b"GET / HTTP/1.1\r\nHost: holm\r\n\r\n",
            2 => &u32::MAX.to_le_bytes(),
            // Half of what would be a first message.
            _ => &[132, 0, 0, 0, 7, 7, 7, 7, 2, 1, 0, 0],
        };
        // It may have been refused already.
        let _ = stranger.write_all(says).await;
        strangers.push(stranger);
    }
    strangers
}
