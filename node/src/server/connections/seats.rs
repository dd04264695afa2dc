//! The bounds on connections: [`Seats`] counts them, all together and those of each address.

use crate::server::limits::Limits;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// How many there are, and who has taken them.
#[derive(Debug)]
pub(super) struct Seats {
    all_max: usize,
    of_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of_addresses: BTreeMap<IpAddr, usize>,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Seats {
    pub(super) fn of(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            all_max: limits.connections_max,
            of_address_max: limits.connections_per_address_max,
            taken: Mutex::default(),
        })
    }

    /// A seat, or the name of the limit that is in the way.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Seat, &'static str> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.all_max {
            return Err("http_connections_max");
        }
        let of_address = taken.of_addresses.entry(address).or_default();
        if *of_address >= self.of_address_max {
            return Err("http_connections_per_address_max");
        }
        *of_address += 1;
        taken.all += 1;
        Ok(Seat { seats: Arc::clone(self), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(of_address) = taken.of_addresses.get_mut(&self.address) else { return };
        *of_address -= 1;
        if *of_address == 0 {
            taken.of_addresses.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_beyond_a_bound_is_refused_by_its_name_until_one_ends() {
        let limits =
            Limits { connections_max: 3, connections_per_address_max: 2, ..Limits::default() };
        let seats = Seats::of(&limits);
        let [one, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let taken = |address| seats.take(address).map_err(str::to_owned);
        let first = taken(one).expect("room");
        let second = taken(one).expect("room");
        assert_eq!(taken(one).expect_err("two"), "http_connections_per_address_max");
        let third = taken(other).expect("room");
        assert_eq!(taken(other).expect_err("three"), "http_connections_max");
        drop(first);
        let fourth = taken(other).expect("room again");
        drop((second, third, fourth));
        assert_eq!(seats.taken.lock().expect("whole").of_addresses.len(), 0);
        taken(one).expect("room");
    }
}
