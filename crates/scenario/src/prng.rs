//! Seeded choices as a pure function of (seed, scenario, iteration, site): Threefry-2x32 with 20
//! rounds (Salmon et al., SC'11) as a counter-based generator. Nothing is carried from one draw to
//! the next, so workers may take iterations in any order and another engine makes the same
//! choices. Specified, with test vectors, in `docs/prng.md`.

/// Largest `n` of [`Prng::index`]: keeps `word * n` exact in a double.
pub const MAX_INDEX: u32 = 1 << 21;

/// Largest integer that every double holds exactly, 2^53 - 1: the limit of seeds and ranges.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Site of the choice among the flows that a scenario mixes. Sites 1 and up belong to the flow.
pub const FLOW_SITE: u32 = 0;

/// Site of the cell of an iteration's client, above all that belong to flows.
pub const CELL_SITE: u32 = u32::MAX;

const ROTATIONS: [u32; 8] = [13, 15, 26, 6, 17, 29, 16, 24];
const PARITY: u32 = 0x1BD1_1BDA;

/// Threefry-2x32 with 20 rounds: the block `counter` under `key`.
#[inline]
pub fn threefry2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let schedule = [key[0], key[1], PARITY ^ key[0] ^ key[1]];
    let mut x0 = counter[0].wrapping_add(schedule[0]);
    let mut x1 = counter[1].wrapping_add(schedule[1]);
    for group in 0..5 {
        for round in 0..4 {
            x0 = x0.wrapping_add(x1);
            x1 = x1.rotate_left(ROTATIONS[(group % 2) * 4 + round]) ^ x0;
        }
        x0 = x0.wrapping_add(schedule[(group + 1) % 3]);
        x1 = x1
            .wrapping_add(schedule[(group + 2) % 3])
            .wrapping_add(group as u32 + 1);
    }
    [x0, x1]
}

/// FNV-1a, 32 bits, of the bytes of a name.
fn fnv1a(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// The choices of one scenario. Two words; copy it freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prng {
    key: [u32; 2],
}

impl Prng {
    /// The generator of a scenario under a seed (0 to 2^53 - 1).
    pub fn new(seed: u64, scenario: &str) -> Self {
        let seed_key = [seed as u32, (seed >> 32) as u32];
        Self {
            key: threefry2x32(seed_key, [fnv1a(scenario), scenario.len() as u32]),
        }
    }

    /// The stream key, for test vectors.
    pub fn key(&self) -> [u32; 2] {
        self.key
    }

    /// The two words drawn at a site. Iterations count modulo 2^32.
    #[inline]
    pub fn words(&self, iteration: u64, site: u32) -> [u32; 2] {
        threefry2x32(self.key, [iteration as u32, site])
    }

    /// An integer in `0..n`: `floor(word0 * n / 2^32)`. `n` is clamped to `1..=`[`MAX_INDEX`].
    #[inline]
    pub fn index(&self, iteration: u64, site: u32, n: u32) -> u32 {
        let n = n.clamp(1, MAX_INDEX);
        ((u64::from(self.words(iteration, site)[0]) * u64::from(n)) >> 32) as u32
    }

    /// A number in [0, 1) with 53 random bits.
    #[inline]
    pub fn unit(&self, iteration: u64, site: u32) -> f64 {
        let [w0, w1] = self.words(iteration, site);
        let bits = (u64::from(w0 >> 5) << 26) | u64::from(w1 >> 6);
        bits as f64 / (1u64 << 53) as f64
    }

    /// An integer in `low..=high`: `low + floor(unit * (high - low + 1))`. Exact, and the same in
    /// JavaScript, where both bounds and their distance are at most 2^53 - 2 in size, which is
    /// what a plan allows. `low` where `high` is below it.
    #[inline]
    pub fn range(&self, iteration: u64, site: u32, low: i64, high: i64) -> i64 {
        if high <= low {
            return low;
        }
        let width = high.abs_diff(low).saturating_add(1);
        let offset = (self.unit(iteration, site) * width as f64).floor() as u64;
        low.wrapping_add_unsigned(offset.min(width - 1))
    }

    /// A UUID of version 4 (RFC 9562): 122 bits of the words at `site` and at `site + 2^31`, which
    /// no flow has.
    pub fn uuid(&self, iteration: u64, site: u32) -> String {
        let [a, b] = self.words(iteration, site);
        let [c, d] = self.words(iteration, site ^ (1 << 31));
        format!(
            "{a:08x}-{:04x}-4{:03x}-{:04x}-{:04x}{d:08x}",
            b >> 16,
            b & 0xfff,
            (c >> 16) & 0x3fff | 0x8000,
            c & 0xffff,
        )
    }

    /// `digits` (1 to 16) lower-case hexadecimal digits: the first of word0, then of word1.
    pub fn hex(&self, iteration: u64, site: u32, digits: u32) -> String {
        let [w0, w1] = self.words(iteration, site);
        let mut text = format!("{w0:08x}{w1:08x}");
        text.truncate(digits.clamp(1, 16) as usize);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_answers_of_random123() {
        assert_eq!(threefry2x32([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(
            threefry2x32([u32::MAX; 2], [u32::MAX; 2]),
            [0x1cb9_96fc, 0xbb00_2be7]
        );
        assert_eq!(
            threefry2x32([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]),
            [0xc492_3a9c, 0x483d_f7a0]
        );
    }

    #[test]
    fn fnv_known_answers() {
        assert_eq!(fnv1a(""), 0x811c_9dc5);
        assert_eq!(fnv1a("foobar"), 0xbf9c_f968);
    }

    #[test]
    fn units_are_even_over_ten_bins() {
        let prng = Prng::new(42, "baseline");
        let mut bins = [0u32; 10];
        for iteration in 0..100_000 {
            bins[(prng.unit(iteration, 3) * 10.0) as usize] += 1;
        }
        // Five standard deviations of a bin of 10,000 are 474.
        assert!(
            bins.iter().all(|&count| (9_500..10_500).contains(&count)),
            "{bins:?}"
        );
    }

    proptest! {
        #[test]
        fn draws_stay_in_bounds(seed in 0..=MAX_SAFE_INTEGER, name: String, iteration: u64,
                                site: u32, n in 1..=MAX_INDEX, digits in 1u32..=16,
                                low in -1_000_000_000i64..1_000_000_000, width in 0i64..1_000_000) {
            let prng = Prng::new(seed, &name);
            prop_assert!(prng.index(iteration, site, n) < n);
            let unit = prng.unit(iteration, site);
            prop_assert!((0.0..1.0).contains(&unit));
            let value = prng.range(iteration, site, low, low + width);
            prop_assert!((low..=low + width).contains(&value));
            prop_assert_eq!(prng.hex(iteration, site, digits).len(), digits as usize);
        }

        #[test]
        fn any_range_is_safe(iteration: u64, site: u32, a: i64, b: i64) {
            let value = Prng::new(1, "x").range(iteration, site, a.min(b), a.max(b));
            prop_assert!((a.min(b)..=a.max(b)).contains(&value));
        }
    }
}
