//! What the simulated network does to connections, fault by fault.

use super::*;
use crate::node_world::plan::{Plan, Settings, address};
use crate::node_world::topologies::Shape;
use madsim::runtime::Runtime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const GOOD: Quality = Quality {
    latency: 1_000,
    jitter: 0,
    slow: 0,
    lost: 0,
    bandwidth: 1_000_000,
    window: 4_096,
    garbled: 0,
};

fn topology(shape: Shape) -> Topology {
    let (places, closed) = shape.draw(3, &mut Random::new(1, 0));
    let (settings, qualities, happenings) = (Settings::default(), Vec::new(), Vec::new());
    Plan { settings, places, closed, qualities, happenings }.topology(|_| None)
}

/// Runs a test on a network of three members that may all dial each other.
fn on_network<F: Future<Output = ()>>(test: impl FnOnce(Net) -> F) {
    let topology = topology(Shape::OneIsland);
    let mischief = (Links::Insecure, Mischief::default());
    Runtime::with_seed_and_config(1, madsim::Config::default())
        .block_on(async { test(Net::new(&topology, |_, _| GOOD, mischief, 1)).await });
}

/// A connection of member 1, who dials, and member 2: the ends of each, and what 2 listens with.
async fn connected(net: &Net) -> (Stream, Stream, Listener) {
    let mut listener = net.port(2).listen(&address(2)).await.expect("nobody listens there");
    let port = net.port(1);
    let dialled = port.dial(&address(2)).await.expect("member 2 listens");
    let accepted = listener.accept().await.expect("member 1 has dialled");
    (dialled, accepted, listener)
}

/// The next byte, the end, or an error; or nothing within a minute.
async fn next(stream: &mut Stream) -> Option<std::io::Result<usize>> {
    let read = async { stream.reader.read(&mut [0; 1]).await };
    tokio::time::timeout(Duration::from_secs(60), read).await.ok()
}

async fn says(stream: &mut Stream) -> std::io::Result<()> {
    stream.writer.write_all(b"x").await
}

#[test]
fn bytes_arrive_in_order_however_they_are_cut() {
    on_network(|net| async move {
        let (mut one, mut two, _listener) = connected(&net).await;
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).collect();
        let expected = sent.clone();
        let writing = madsim::task::spawn(async move {
            one.writer.write_all(&sent).await.expect("it is read");
            drop(one);
        });
        let (mut read, mut odd) = (Vec::new(), 0);
        let mut part = vec![0; 2 * usize::try_from(GOOD.window).expect("small")];
        while let Ok(count @ 1..) = two.reader.read(&mut part).await {
            read.extend_from_slice(&part[..count]);
            odd += usize::from(count as u64 != GOOD.window);
        }
        writing.await.expect("it ends");
        assert!(read == expected, "other bytes");
        // Uncut, all would be whole windows but for the last one.
        assert!(odd > 5, "{odd} parts are no whole windows");
    });
}

#[test]
fn a_narrow_link_takes_its_time_and_a_full_window_makes_the_writer_wait() {
    on_network(|net| async move {
        let (mut one, mut two, mut listener) = connected(&net).await;
        let began = Instant::now();
        let writing = madsim::task::spawn(async move {
            one.writer.write_all(&[0; 3 * 4_096]).await.expect("it is read");
            drop(one);
            Instant::now()
        });
        sleep(Duration::from_secs(5)).await;
        assert!(!writing.is_finished(), "nobody has read yet");
        let mut read = Vec::new();
        two.reader.read_to_end(&mut read).await.expect("all of it");
        assert!(writing.await.expect("it ends") - began >= Duration::from_secs(5));
        net.change(1, 2, Quality { bandwidth: 100, ..GOOD });
        let port = net.port(1);
        let mut one = port.dial(&address(2)).await.expect("member 2 listens");
        let mut two = listener.accept().await.expect("member 1 has dialled");
        let began = Instant::now();
        one.writer.write_all(&[0; 1_000]).await.expect("there is room");
        let mut read = [0; 1_000];
        two.reader.read_exact(&mut read).await.expect("all of it");
        assert!(began.elapsed() >= Duration::from_secs(10), "1,000 bytes at 100 a second");
    });
}

#[test]
fn what_is_written_through_a_cut_arrives_once_it_is_healed_and_a_dial_hangs() {
    on_network(|net| async move {
        let (mut one, mut two, _listener) = connected(&net).await;
        net.cut(1, 2);
        says(&mut one).await.expect("there is room");
        assert!(next(&mut two).await.is_none(), "it is cut");
        let port = net.port(1);
        let dial = tokio::time::timeout(Duration::from_secs(60), port.dial(&address(2))).await;
        assert!(dial.is_err(), "nobody answers");
        says(&mut two).await.expect("there is room");
        assert_eq!(next(&mut one).await.expect("it is cut one way").expect("a byte"), 1);
        net.heal(1, 2);
        assert_eq!(next(&mut two).await.expect("it is healed").expect("a byte"), 1);
    });
}

#[test]
fn of_a_half_open_connection_one_end_is_told_and_of_a_hanging_one_none() {
    on_network(|net| async move {
        for (ending, told) in [(Ending::HalfOpen, 1), (Ending::Hang, 0), (Ending::Reset, 2)] {
            let (mut one, mut two, listener) = connected(&net).await;
            assert_eq!(net.fail(1, 2, ending), 1);
            let mut ends = 0;
            for end in [&mut one, &mut two] {
                // An end that was not told writes into the void.
                ends += usize::from(says(end).await.is_err());
                assert_eq!(next(end).await.is_none(), says(end).await.is_ok(), "{ending:?}");
            }
            assert_eq!(ends, told, "{ending:?}");
            assert_eq!(net.fail(1, 2, Ending::Reset), 0, "none is left that works");
            drop(listener);
        }
    });
}

#[test]
fn a_kill_is_told_and_a_power_cut_is_found_out_by_writing_to_the_machine_that_is_on_again() {
    on_network(|net| async move {
        let (mut one, _two, listener) = connected(&net).await;
        net.killed(2);
        assert_eq!(next(&mut one).await.expect("told").expect("an end"), 0);
        drop((listener, one));
        let (mut one, _two, _listener) = connected(&net).await;
        net.power_cut(2);
        assert!(next(&mut one).await.is_none(), "nobody tells");
        says(&mut one).await.expect("nobody tells");
        net.powered(2);
        assert!(says(&mut one).await.is_err(), "it knows of no connection");
        assert!(net.port(1).dial(&address(2)).await.is_err(), "nobody listens yet");
    });
}

#[test]
fn what_the_topology_does_not_let_anybody_dial_nobody_can() {
    let topology = topology(Shape::Chain);
    assert!(!topology.may_dial(1, 3));
    Runtime::with_seed_and_config(1, madsim::Config::default()).block_on(async {
        let mischief = (Links::Insecure, Mischief::default());
        let net = Net::new(&topology, |_, _| GOOD, mischief, 1);
        let _listener = net.port(3).listen(&address(3)).await.expect("nobody listens there");
        let port = net.port(1);
        let dial = tokio::time::timeout(Duration::from_secs(60), port.dial(&address(3))).await;
        assert!(dial.is_err(), "a firewall says nothing");
    });
}

#[test]
fn a_link_that_garbles_delivers_as_many_bytes_of_which_some_are_others() {
    on_network(|net| async move {
        let (mut one, mut two, _listener) = connected(&net).await;
        net.change(1, 2, Quality { garbled: 1_000_000, ..GOOD });
        one.writer.write_all(&[0; 4_000]).await.expect("there is room");
        drop(one);
        let mut read = Vec::new();
        two.reader.read_to_end(&mut read).await.expect("it ends");
        assert_eq!(read.len(), 4_000);
        assert!(read.iter().any(|byte| *byte != 0));
    });
}
