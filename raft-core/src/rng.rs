//! The core's only randomness: `Rng`, a SplitMix64 (Steele, Lea, Flood: "Fast splittable
//! pseudorandom number generators", OOPSLA 2014), seeded from `Config`.

/// A small seeded generator, for time-outs; not for secrets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `low` up to, not including, twice `low`. `low` is at least 1.
    pub(crate) fn up_to_twice(&mut self, low: u32) -> u32 {
        let drawn = self.next_u64() % u64::from(low);
        low + u32::try_from(drawn).expect("less than a u32")
    }
}
