//! Shares and their differences.

use super::quantile::NORMAL_97_5;

/// A share of so many. The numbers may be fractions: of dependent observations fewer are meant than
/// were counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share {
    /// From 0 to 1.
    pub(crate) value: f64,
    /// How many independent observations it rests on; above 0.
    pub(crate) n: f64,
}

impl Share {
    /// Wilson's score interval, 95 % (Wilson 1927).
    pub(crate) fn interval(self) -> (f64, f64) {
        let (p, n, z) = (self.value, self.n, NORMAL_97_5);
        let middle = p + z * z / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let whole = 1.0 + z * z / n;
        (
            ((middle - half) / whole).max(0.0),
            ((middle + half) / whole).min(1.0),
        )
    }
}

/// 95 % interval of the difference `a − b`: Newcombe's hybrid of the two score intervals (Newcombe
/// 1998, method 10).
pub(crate) fn newcombe(a: Share, b: Share) -> (f64, f64) {
    let ((a_low, a_high), (b_low, b_high)) = (a.interval(), b.interval());
    let difference = a.value - b.value;
    (
        difference - (a.value - a_low).hypot(b_high - b.value),
        difference + (a_high - a.value).hypot(b.value - b_low),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(events: f64, n: f64) -> Share {
        Share {
            value: events / n,
            n,
        }
    }

    fn assert_close(found: (f64, f64), expected: (f64, f64)) {
        let near = |a: f64, b: f64| (a - b).abs() < 5e-5;
        assert!(
            near(found.0, expected.0) && near(found.1, expected.1),
            "{found:?}"
        );
    }

    #[test]
    fn wilsons_interval_is_that_of_newcombes_paper() {
        // Newcombe (1998), Statistics in Medicine 17:857, table I, method 3.
        assert_close(share(81.0, 263.0).interval(), (0.2553, 0.3662));
        assert_close(share(15.0, 148.0).interval(), (0.0624, 0.1605));
        assert_close(share(0.0, 20.0).interval(), (0.0, 0.1611));
        assert_close(share(1.0, 29.0).interval(), (0.0061, 0.1718));
    }

    #[test]
    fn the_differences_interval_is_that_of_newcombes_paper() {
        // Newcombe (1998), Statistics in Medicine 17:873, table II, method 10.
        for (a, b, expected) in [
            ((56.0, 70.0), (48.0, 80.0), (0.0524, 0.3339)),
            ((9.0, 10.0), (3.0, 10.0), (0.1705, 0.8090)),
            ((6.0, 7.0), (2.0, 7.0), (0.0582, 0.8062)),
            ((5.0, 56.0), (0.0, 29.0), (-0.0381, 0.1926)),
            ((0.0, 10.0), (0.0, 20.0), (-0.1611, 0.2775)),
            ((0.0, 10.0), (0.0, 10.0), (-0.2775, 0.2775)),
            ((10.0, 10.0), (0.0, 20.0), (0.6791, 1.0)),
            ((10.0, 10.0), (0.0, 10.0), (0.6075, 1.0)),
        ] {
            assert_close(newcombe(share(a.0, a.1), share(b.0, b.1)), expected);
        }
    }
}
