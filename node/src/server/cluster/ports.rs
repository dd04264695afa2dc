//! Loopback ports for members that restart: [`free_ports`] draws below the ephemeral range.
//!
//! A port from that range could be taken by any outgoing connection while its member is down; and
//! a client that keeps dialling the dead port could even be connected to itself.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// Ports are drawn from here up to the ephemeral range, and at least this many.
const FIRST: u16 = 10_000;
const SPAN_MIN: u16 = 1_000;
/// How many ports are tried before giving up.
const TRIES_MAX: usize = 10_000;

/// `count` different ports of loopback that nobody listens on now.
///
/// # Errors
/// When there are not so many, or the system has no entropy.
pub fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let end = ephemeral_start().max(FIRST + SPAN_MIN);
    let mut found = BTreeSet::new();
    for _ in 0..TRIES_MAX {
        if found.len() == count {
            break;
        }
        let port = FIRST + random()? % (end - FIRST);
        if !found.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            found.insert(port);
        }
    }
    if found.len() < count {
        let what = format!("{count} free ports were not found from {FIRST} to {end}");
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, what));
    }
    Ok(found.into_iter().collect())
}

fn random() -> io::Result<u16> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u16::from_le_bytes(bytes))
}

fn ephemeral_start() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let start = range.ok().and_then(|text| text.split_whitespace().next()?.parse().ok());
    start.unwrap_or(32_768)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_differ_and_can_be_listened_on() {
        let ports = free_ports(6).expect("six ports are free");
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 6);
        assert!(ports.iter().all(|port| *port >= FIRST));
    }
}
