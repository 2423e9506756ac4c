//! The one source of chance: everything that happens is drawn from a seed.

use std::time::Duration;

/// A generator of numbers that look random: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014). Ours, because the same seed has to give the same numbers in ten years.
#[derive(Debug, Clone)]
pub struct Generator(u64);

/// The increment of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// The parameters of 64-bit FNV-1a, by which a purpose becomes a number.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

impl Generator {
    /// One of a seed's streams. Each purpose has its own, so that one more host does not change another's luck.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut state = FNV_BASIS ^ mix(seed);
        for byte in purpose.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
        Self(mix(state))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `limit`; 0 where that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        let product = u128::from(self.number()) * u128::from(limit);
        // The upper half, which fits.
        (product >> 64) as u64
    }

    /// From 0.0 to just below 1.0.
    pub fn unit(&mut self) -> f64 {
        // As many bits as a double's fraction has.
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something happens that happens so often: 0.0 never, 1.0 always.
    pub fn chance(&mut self, often: f64) -> bool {
        self.unit() < often
    }

    /// A time in this range, to the millisecond. Short ones are as likely as long ones: it is even in its logarithm.
    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let (from, to) = (from.as_secs_f64().max(0.001), to.as_secs_f64());
        let drawn = (from.ln() + self.unit() * (to.max(from).ln() - from.ln())).exp();
        Duration::from_millis((drawn * 1000.0) as u64)
    }

    /// The time until something happens that happens every `mean` by chance.
    pub fn until_next(&mut self, mean: Duration) -> Duration {
        let drawn = mean.as_secs_f64() * -(1.0 - self.unit()).ln();
        Duration::from_millis((drawn * 1000.0) as u64)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let index = self.below(of.len() as u64);
        of.get(index as usize)
    }
}

fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_numbers_that_it_always_gave() {
        let mut generator = Generator::new(1, "hosts");
        let first = [generator.number(), generator.number()];
        let mut again = Generator::new(1, "hosts");
        assert_eq!(first, [again.number(), again.number()]);
        assert_ne!(first[0], Generator::new(1, "forge").number());
        assert_ne!(first[0], Generator::new(2, "hosts").number());
    }

    #[test]
    fn what_is_drawn_lies_where_it_may() {
        let mut generator = Generator::new(7, "test");
        let (from, to) = (Duration::from_secs(1), Duration::from_secs(100));
        let mut below_ten = 0;
        for _ in 0..10_000 {
            assert!(generator.below(3) < 3);
            assert!((0.0..1.0).contains(&generator.unit()));
            let drawn = generator.between(from, to);
            assert!((from..=to).contains(&drawn), "{drawn:?}");
            below_ten += u32::from(drawn < Duration::from_secs(10));
        }
        assert!((4500..5500).contains(&below_ten), "{below_ten}");
    }
}
