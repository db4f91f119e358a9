//! Quantiles: of Student's t distribution, and medians of samples.

/// The 97.5 % quantile of the normal distribution.
pub(crate) const NORMAL_97_5: f64 = 1.959_963_985;

/// The 97.5 % quantile of Student's t distribution, by its expansion in 1/df (Abramowitz and Stegun
/// 26.7.5): good to three digits from 4 degrees of freedom on.
pub(crate) fn student_97_5(degrees_of_freedom: f64) -> f64 {
    let (z, df) = (NORMAL_97_5, degrees_of_freedom.max(1.0));
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    let fourth = (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5)
        - 1920.0 * z.powi(3)
        - 945.0 * z)
        / 92_160.0;
    z + first / df + second / df.powi(2) + third / df.powi(3) + fourth / df.powi(4)
}

/// Median of values in order: of an even number the mean of the middle two.
///
/// # Panics
/// When there are none.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}

/// 95 % interval of the median of values in order, by the order statistics around it (Campbell and
/// Gardner 1988). `effective` is how many independent values the sample is worth. The whole range
/// where there are too few.
///
/// # Panics
/// When there are none.
pub(crate) fn median_interval(sorted: &[f64], effective: f64) -> (f64, f64) {
    let n = sorted.len() as f64;
    // Half the width in ranks: 1.96 √n / 2 of n independent values, more of dependent ones.
    let half = NORMAL_97_5 * n / (2.0 * effective.clamp(1.0, n).sqrt());
    let rank = |rank: f64| sorted[(rank.round().clamp(1.0, n) as usize) - 1];
    (rank(n / 2.0 - half), rank(1.0 + n / 2.0 + half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn students_quantiles_are_those_of_the_table() {
        // scipy.stats.t.ppf(0.975, df).
        for (df, expected) in [
            (3.0, 3.1824),
            (4.0, 2.7764),
            (6.0, 2.4469),
            (10.0, 2.2281),
            (18.0, 2.1009),
            (100.0, 1.984),
        ] {
            let found = student_97_5(df);
            assert!((found / expected - 1.0).abs() < 2e-3, "{df}: {found}");
        }
    }

    #[test]
    fn the_medians_interval_is_that_of_campbell_and_gardner() {
        // n = 100: ranks 40 and 61.
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(median(&values), 50.5);
        assert_eq!(median_interval(&values, 100.0), (40.0, 61.0));
        // Worth a quarter: twice as wide.
        assert_eq!(median_interval(&values, 25.0), (30.0, 71.0));
        assert_eq!(median_interval(&[1.0, 2.0, 3.0], 3.0), (1.0, 3.0));
        assert_eq!(median_interval(&[7.0], 1.0), (7.0, 7.0));
    }
}
