//! The floor: a bare TCP round trip to a peer and a bare `pwrite` + `fdatasync` of the same bytes,
//! batched alike. All that waits is one batch; the leader sends it to both peers, makes it durable
//! itself meanwhile, and goes on once one of them has said that it is durable there.

use crate::disk::Bare;
use crate::load::{Load, Loaded, VALUE_BYTES, nanos};
use crate::member::{MemberArgs, orders};
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The length of a batch, before its bytes; and of an answer, which is the batch's number.
const WORD: usize = size_of::<u64>();

/// The first member leads, and the others follow it.
pub(crate) fn run(args: &MemberArgs) -> Result<(), String> {
    let told = |error: io::Error| format!("the floor's member {}: {error}", args.id);
    if args.id == 1 { lead(args).map_err(told) } else { follow(args).map_err(told) }
}

fn follow(args: &MemberArgs) -> io::Result<()> {
    let mut file = Bare::create(&args.dir.join("floor"))?;
    let listener = TcpListener::bind(args.address(args.id))?;
    let (mut leader, _) = listener.accept()?;
    leader.set_nodelay(true)?;
    let (mut length, mut batch, mut number) = ([0; WORD], Vec::new(), 0_u64);
    loop {
        if leader.read_exact(&mut length).is_err() {
            return Ok(());
        }
        batch.resize(usize::try_from(u64::from_le_bytes(length)).unwrap_or(0), 0);
        leader.read_exact(&mut batch)?;
        file.append(&batch)?;
        number += 1;
        leader.write_all(&number.to_le_bytes())?;
    }
}

struct Peer {
    stream: TcpStream,
    /// It has made so many batches durable.
    has: u64,
}

fn lead(args: &MemberArgs) -> io::Result<()> {
    let mut file = Bare::create(&args.dir.join("floor"))?;
    let mut peers = Vec::new();
    for id in [2, 3] {
        let stream = connect(&args.address(id))?;
        stream.set_nodelay(true)?;
        peers.push(Peer { stream, has: 0 });
    }
    println!("leader 1 0");
    let mut number = 0;
    for line in orders() {
        match line.parse::<Load>() {
            Ok(load) => println!("{}", round(&mut file, &mut peers, &mut number, load)?),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(())
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let begun = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Err(_) if begun.elapsed() < Duration::from_secs(5) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            connected => return connected,
        }
    }
}

fn round(file: &mut Bare, peers: &mut [Peer], number: &mut u64, load: Load) -> io::Result<Loaded> {
    let bytes = load.clients * VALUE_BYTES;
    let mut frame = u64::try_from(bytes).unwrap_or(0).to_le_bytes().to_vec();
    frame.resize(WORD + bytes, 7);
    let begun = Instant::now();
    let (from, until) = (begun + load.warm_up, begun + load.warm_up + load.measured);
    let (mut latencies, mut batches) = (Vec::new(), 0_u64);
    loop {
        let asked = Instant::now();
        if asked >= until {
            break;
        }
        *number += 1;
        for peer in &mut *peers {
            peer.stream.write_all(&frame)?;
        }
        file.append(&frame[WORD..])?;
        while peers.iter().all(|peer| peer.has < *number) {
            hear(peers)?;
        }
        batches += 1;
        let answered = Instant::now();
        if asked >= from && answered <= until {
            latencies.push(nanos(answered - asked));
        }
    }
    latencies.sort_unstable();
    let quantile = |thousandths: usize| {
        let rank = (latencies.len() * thousandths).div_ceil(1000).max(1);
        latencies.get(rank - 1).copied().unwrap_or(0)
    };
    let of = |batches: usize| u64::try_from(batches * load.clients).unwrap_or(0);
    Ok(Loaded {
        done: of(latencies.len()),
        total: batches * u64::try_from(load.clients).unwrap_or(0),
        failed: 0,
        nanos: nanos(load.measured),
        p50: quantile(500),
        p99: quantile(990),
        p999: quantile(999),
    })
}

/// Takes the answers that have come, at least one.
fn hear(peers: &mut [Peer]) -> io::Result<()> {
    let mut ready: Vec<_> =
        peers.iter().map(|peer| PollFd::new(&peer.stream, PollFlags::IN)).collect();
    poll(&mut ready, None)?;
    let ready: Vec<_> = ready.iter().map(|fd| !fd.revents().is_empty()).collect();
    for (peer, _) in peers.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
        let mut answer = [0; WORD];
        peer.stream.read_exact(&mut answer)?;
        peer.has = u64::from_le_bytes(answer);
    }
    Ok(())
}
