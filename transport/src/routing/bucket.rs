//! A token bucket, `Bucket`: so many bytes a second, and a burst of so many at once.

use std::num::NonZeroU64;
use std::time::Duration;

/// Lets through so many bytes a second, and so many at once after a pause.
///
/// What is longer than the burst passes when the bucket is full, and is then paid for: it would
/// never pass otherwise. So in any `t` seconds at most `burst + t · bytes_per_second` bytes pass,
/// and once the last of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    bytes_per_second: NonZeroU64,
    /// The time in which an empty bucket fills.
    fill: Duration,
    /// When the bucket is full again. Times do not round as counts of tokens would: a bucket that
    /// is asked often does not lose fractions.
    full_at: Duration,
}

/// What a bucket answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Taken {
    /// The bytes may pass; they are paid for.
    Now,
    /// Not yet; nothing was taken.
    NotYet,
}

impl Bucket {
    /// A full bucket of `burst` bytes that is filled with so many a second.
    pub(crate) fn new(bytes_per_second: NonZeroU64, burst: u64) -> Self {
        let fill = time_of(burst, bytes_per_second);
        Self { bytes_per_second, fill, full_at: Duration::ZERO }
    }

    /// Takes so many bytes, or none.
    pub(crate) fn take(&mut self, bytes: u64, now: Duration) -> Taken {
        if self.ready_at(bytes, now) > now {
            return Taken::NotYet;
        }
        let cost = time_of(bytes, self.bytes_per_second);
        self.full_at = self.full_at.max(now).saturating_add(cost);
        Taken::Now
    }

    /// When so many bytes can be taken, if none are taken before: `now`, or later.
    pub(crate) fn ready_at(&self, bytes: u64, now: Duration) -> Duration {
        // A bucket is never asked for more than it holds when full.
        let cost = time_of(bytes, self.bytes_per_second).min(self.fill);
        self.full_at.saturating_add(cost).saturating_sub(self.fill).max(now)
    }
}

/// The time in which so many bytes flow, rounded up.
fn time_of(bytes: u64, bytes_per_second: NonZeroU64) -> Duration {
    let nanos = (u128::from(bytes) * 1_000_000_000).div_ceil(bytes_per_second.get().into());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const NANO: Duration = Duration::from_nanos(1);

    fn bucket(bytes_per_second: u64, burst: u64) -> Bucket {
        Bucket::new(NonZeroU64::new(bytes_per_second).expect("above zero"), burst)
    }

    proptest! {
        #[test]
        fn no_more_passes_than_the_burst_and_the_rate_allow(
            rate in 1..100_000_u64,
            burst in 1..100_000_u64,
            asks in vec((0..200_000_u64, 0..2_000_000_000_u64), 1..60),
        ) {
            let mut bucket = bucket(rate, burst);
            let (mut now, mut passed, mut last) = (Duration::ZERO, 0_u128, 0);
            for (bytes, pause) in asks {
                now += Duration::from_nanos(pause);
                if bucket.take(bytes, now) == Taken::Now {
                    passed += u128::from(bytes);
                    last = bytes;
                    let flowed = now.as_nanos() * u128::from(rate) / 1_000_000_000;
                    prop_assert!(passed <= u128::from(burst.max(last)) + flowed + u128::from(last));
                    prop_assert!(passed - u128::from(last) <= u128::from(burst) + flowed);
                }
            }
            let _ = last;
        }

        #[test]
        fn the_bytes_can_be_taken_when_it_says_and_not_before(
            rate in 1..1_000_000_u64,
            burst in 0..100_000_u64,
            before in vec(0..200_000_u64, 0..5),
            bytes in 0..200_000_u64,
        ) {
            let mut bucket = bucket(rate, burst);
            let now = Duration::from_secs(7);
            for bytes in before {
                let _ = bucket.take(bytes, now);
            }
            let ready = bucket.ready_at(bytes, now);
            prop_assert_eq!(bucket.clone().take(bytes, ready), Taken::Now);
            if ready > now {
                prop_assert_eq!(bucket.clone().take(bytes, ready - NANO), Taken::NotYet);
            }
        }
    }

    #[test]
    fn what_is_longer_than_the_burst_passes_once_the_bucket_is_full_and_is_paid_for() {
        let mut bucket = bucket(1000, 100);
        let second = Duration::from_secs(1);
        assert_eq!(bucket.take(1000, second), Taken::Now);
        assert_eq!(bucket.take(1, second), Taken::NotYet);
        assert_eq!(bucket.ready_at(1000, second), 2 * second);
        assert_eq!(bucket.ready_at(100, second), 2 * second);
        assert_eq!(bucket.ready_at(1, second), 2 * second - Duration::from_millis(99));
    }

    #[test]
    fn it_bears_the_largest_numbers() {
        let mut bucket = bucket(1, u64::MAX);
        assert_eq!(bucket.take(u64::MAX, Duration::MAX), Taken::Now);
        let _ = bucket.take(u64::MAX, Duration::ZERO);
    }
}
