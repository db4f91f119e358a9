//! Hashes that decide what stays in a sample. They are part of the result: the same traces give the
//! same sample on every machine and in every version, so they are fixed here.

/// Hash of a trace id, which decides whether the trace's observations stay in a sample. Ids of some
/// senders begin with a time (AWS X-Ray) and are not random by themselves.
pub fn trace_hash(trace_id: &[u8; 16]) -> u64 {
    let (high, low) = trace_id.split_at(8);
    mix(mix(word(high)) ^ word(low))
}

/// Hash of names: FNV-1a with 64 bits, mixed. Each part is ended by a byte that is not UTF-8.
pub(crate) fn name_hash(parts: &[&str]) -> u64 {
    let bytes = parts
        .iter()
        .flat_map(|part| part.bytes().chain(std::iter::once(0xff)));
    mix(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014; constants of Stafford's variant
/// 13): a bijection in which each bit of the input changes half of the output's.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_is_that_of_splitmix64() {
        // The first outputs of Vigna's splitmix64.c from the states 0 and 1234567.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(1_234_567), 6_457_827_717_110_365_317);
    }

    #[test]
    fn hashes_of_ids_that_count_up_are_spread_evenly() {
        let below_a_quarter = (0_u128..4_000)
            .filter(|id| trace_hash(&id.to_be_bytes()) < u64::MAX / 4)
            .count();
        assert!((900..1_100).contains(&below_a_quarter), "{below_a_quarter}");
    }

    #[test]
    fn names_are_told_apart_where_only_their_border_differs() {
        assert_ne!(name_hash(&["ab", "c"]), name_hash(&["a", "bc"]));
    }
}
