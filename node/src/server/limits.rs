//! What HTTP takes from anybody before it is refused: [`Limits`], and `Rates`, which count the
//! requests of each address. Whatever is refused names its limit.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The bounds of `http_connections_max` and `http_connections_per_address_max`, in connections.
pub const CONNECTIONS: RangeInclusive<usize> = 1..=65_536;
/// The bounds of `http_requests_per_second`, in requests.
pub const REQUESTS_PER_SECOND: RangeInclusive<u32> = 1..=1_000_000;
/// The bounds of `http_header_timeout_ms` and `http_body_timeout_ms`, in milliseconds.
pub const TIMEOUT_MS: RangeInclusive<u64> = 100..=600_000;
/// `http_head_bytes_max`: the longest request line and headers together, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// `http_bodies_bytes_max`: what the bodies of all requests under way may hold together, in bytes.
pub const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The names of all limits, as refusals and metrics have them.
pub const NAMES: [&str; 8] = [
    "http_bodies_bytes_max",
    "http_body_bytes_max",
    "http_body_timeout_ms",
    "http_connections_max",
    "http_connections_per_address_max",
    "http_head_bytes_max",
    "http_header_timeout_ms",
    "http_requests_per_second",
];
/// The most headers of a request.
pub const HEADERS_MAX: usize = 100;
/// The most requests a second from an address that is not this machine's own, unless
/// `http_requests_per_second` says otherwise.
pub const REQUESTS_PER_SECOND_FOREIGN: u32 = 10_000;
/// The most addresses whose requests are counted apart; further ones count together.
const RATE_ADDRESSES_MAX: usize = 16_384;

/// The limits that can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at a time.
    pub connections_max: usize,
    /// The most connections of one address at a time.
    pub connections_per_address_max: usize,
    /// The most requests a second from one address, and at once; if it is not set,
    /// [`REQUESTS_PER_SECOND_FOREIGN`] for all but this machine itself.
    pub requests_per_second: Option<u32>,
    /// How long the head of a request may take, and a handshake; also how long a connection may
    /// stay without a request.
    pub header_timeout: Duration,
    /// How long the body of a request may take, and how long an answer may wait to be read.
    pub body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_per_address_max: 512,
            requests_per_second: None,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// How many requests a second an address may make, and at once.
    fn rate_of(&self, address: IpAddr) -> Option<u32> {
        match self.requests_per_second {
            None if address.is_loopback() => None,
            None => Some(REQUESTS_PER_SECOND_FOREIGN),
            Some(rate) => Some(rate),
        }
    }
}

/// The one that counts: an IPv6 address stands for its /64, of which one machine may have all.
pub(super) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        canonical => canonical,
    }
}

/// When each address will have been without a request for as long as its requests so far deserve:
/// one that is more than a second ahead has to wait.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<BTreeMap<IpAddr, Instant>>);

impl Rates {
    /// Counts a request, if it may be made now.
    pub(super) fn take(&self, limits: &Limits, address: IpAddr, now: Instant) -> bool {
        const BURST: Duration = Duration::from_secs(1);
        let Some(rate) = limits.rate_of(address) else { return true };
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut address = counted(address);
        if rates.len() >= RATE_ADDRESSES_MAX && !rates.contains_key(&address) {
            rates.retain(|_, until| *until > now);
            if rates.len() >= RATE_ADDRESSES_MAX {
                address = Ipv6Addr::UNSPECIFIED.into();
            }
        }
        let until = rates.entry(address).or_insert(now);
        let next = (*until).max(now) + BURST / rate;
        let may = next <= now + BURST;
        if may {
            *until = next;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(rate: Option<u32>) -> Limits {
        Limits { requests_per_second: rate, ..Limits::default() }
    }

    #[test]
    fn an_address_makes_so_many_requests_a_second_and_others_are_not_touched() {
        let (rates, limits, begin) = (Rates::default(), limits(Some(4)), Instant::now());
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().expect("an address"));
        for at_ms in [0, 0, 0, 0, 250, 500] {
            assert!(rates.take(&limits, one, begin + Duration::from_millis(at_ms)), "{at_ms}");
        }
        assert!(!rates.take(&limits, one, begin + Duration::from_millis(500)));
        assert!(!rates.take(&limits, one, begin + Duration::from_millis(749)));
        assert!(rates.take(&limits, other, begin + Duration::from_millis(500)));
        assert!(rates.take(&limits, one, begin + Duration::from_millis(750)));
    }

    #[test]
    fn the_machine_itself_is_counted_only_if_that_is_said() {
        let now = Instant::now();
        let loopback: IpAddr = "::1".parse().expect("an address");
        let taken = |limits: &Limits, address| {
            let rates = Rates::default();
            (0..=REQUESTS_PER_SECOND_FOREIGN).all(|_| rates.take(limits, address, now))
        };
        assert!(taken(&limits(None), loopback));
        assert!(!taken(&limits(Some(2)), loopback));
        assert!(!taken(&limits(None), "fd00::1".parse().expect("an address")));
    }

    #[test]
    fn addresses_of_one_network_count_together_and_too_many_share_one_rate() {
        let (rates, limits, now) = (Rates::default(), limits(Some(1)), Instant::now());
        assert!(rates.take(&limits, "fd00::1".parse().expect("an address"), now));
        assert!(!rates.take(&limits, "fd00::2".parse().expect("an address"), now));
        for host in 1..RATE_ADDRESSES_MAX {
            let address = u32::try_from(host).expect("small").to_be_bytes();
            assert!(rates.take(&limits, address.into(), now), "{host}");
        }
        assert!(rates.take(&limits, "10.0.0.1".parse().expect("an address"), now));
        assert!(!rates.take(&limits, "10.0.0.2".parse().expect("an address"), now));
        let later = now + Duration::from_secs(2);
        assert!(rates.take(&limits, "10.0.0.2".parse().expect("an address"), later));
        assert_eq!(rates.0.lock().expect("whole").len(), 1, "those who rest are forgotten");
    }
}
