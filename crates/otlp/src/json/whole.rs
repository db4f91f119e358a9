//! Whole numbers, exactly, of decimals.

/// The whole number that up to 19 digits stand for: so many always fit.
fn short_whole(digits: &[u8]) -> Option<u64> {
    if !(1..=19).contains(&digits.len()) {
        return None;
    }
    let (eights, rest) = digits.as_chunks();
    let mut value = 0;
    for eight in eights {
        value = 100_000_000 * value + eight_digits(u64::from_le_bytes(*eight))?;
    }
    for digit in rest {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        value = 10 * value + u64::from(digit);
    }
    Some(value)
}

/// The number that eight digits stand for: pairs of them are put together, then pairs of these,
/// then the two that are left.
fn eight_digits(word: u64) -> Option<u64> {
    const ONES: u64 = u64::MAX / 255;
    let digits = word.wrapping_sub(ONES * u64::from(b'0'));
    // A byte below `0` borrows and has its high bit set; one above `9` gets it by what is added.
    if (digits | digits.wrapping_add(ONES * 0x76)) & (ONES << 7) != 0 {
        return None;
    }
    let pairs = (10 * digits + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (100 * pairs + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((10_000 * fours + (fours >> 32)) & 0xffff_ffff)
}

/// The whole number that a decimal stands for: also `7.0` and `1.5e3`, and exactly.
pub(super) fn whole(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let sign = if digits.len() < text.len() { -1 } else { 1 };
    if let Some(value) = short_whole(digits.as_bytes()) {
        return Some(sign * i128::from(value));
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if before.is_empty() {
        return None;
    }
    let mut value = 0i128;
    for digit in before.bytes().chain(behind.bytes()) {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    let mut exponent = i64::from(exponent) - behind.len() as i64;
    while exponent < 0 && value != 0 {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
        exponent += 1;
    }
    while exponent > 0 && value != 0 {
        value = value.checked_mul(10)?;
        exponent -= 1;
    }
    Some(sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whole_numbers_are_what_the_standard_library_reads(
            text in "[0-9]{1,20}|[0-9]{0,9}[/:x\u{e9}][0-9]{0,9}",
        ) {
            let expected = text.parse::<u64>().ok().filter(|_| text.len() < 20);
            prop_assert_eq!(short_whole(text.as_bytes()), expected);
        }
    }
}
