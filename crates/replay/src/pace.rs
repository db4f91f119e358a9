//! When each request is due (pure).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How fast stored time goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as it did.
    Times(f64),
    /// As fast as the receiver takes it.
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(times) if times.is_finite() && times > 0.0 => Ok(Self::Times(times)),
            _ => Err("give a number above 0, such as 1 or 10, or max".to_owned()),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => times.fmt(f),
            Self::Max => f.write_str("max"),
        }
    }
}

/// From stored times to times since the replay began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// How fast.
    pub speed: Speed,
    /// The stored time at which the replay begins, in Unix nanoseconds; what is older is due at once.
    pub origin_ns: i64,
}

impl Pace {
    /// When a request of a stored time is due, counted from the beginning of the replay.
    pub fn due(&self, at_ns: i64) -> Duration {
        let Speed::Times(times) = self.speed else {
            return Duration::ZERO;
        };
        let after_ns = at_ns.saturating_sub(self.origin_ns).max(0) as f64;
        Duration::try_from_secs_f64(after_ns / 1e9 / times).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_their_distance_from_the_origin_divided_by_the_speed() {
        let due = |speed: &str, at_ns| {
            let pace = Pace {
                speed: speed.parse().expect("a speed"),
                origin_ns: 5_000_000_000,
            };
            pace.due(at_ns).as_millis()
        };
        assert_eq!(due("1", 7_500_000_000), 2500);
        assert_eq!(due("10", 7_500_000_000), 250);
        assert_eq!(due("0.5", 7_500_000_000), 5000);
        assert_eq!(due("1", 4_000_000_000), 0);
        assert_eq!(due("max", i64::MAX), 0);
    }

    #[test]
    fn a_speed_is_a_number_above_zero_or_max() {
        for wrong in ["0", "-1", "nan", "inf", "fast", ""] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
    }
}
