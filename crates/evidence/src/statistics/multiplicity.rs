//! Adjusting p for the number of questions asked.

/// Adjusted p by Holm (1979): at most this is the chance that any of them is wrong. In the order in
/// which they were given.
pub(crate) fn holm(p: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in ascending(p).into_iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * p[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

/// Adjusted p by Benjamini and Hochberg (1995), also called q: of those at or below it, at most
/// this share is wrong on average. In the order in which they were given.
pub(crate) fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![0.0; p.len()];
    let mut smallest = 1.0_f64;
    for (rank, index) in ascending(p).into_iter().enumerate().rev() {
        smallest = smallest.min(p.len() as f64 / (rank + 1) as f64 * p[index]);
        adjusted[index] = smallest;
    }
    adjusted
}

fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    /// The fifteen p of Benjamini and Hochberg (1995), table 1. Expected values: p.adjust of R,
    /// also statsmodels' multipletests.
    const PAPER: [f64; 15] = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
        0.5719, 0.6528, 0.7590, 1.0,
    ];

    #[test]
    fn holm_is_that_of_r() {
        let expected = [
            0.0015, 0.0056, 0.0247, 0.114, 0.2211, 0.278, 0.278, 0.278, 0.3213, 1.0, 1.0, 1.0, 1.0,
            1.0, 1.0,
        ];
        assert_close(&holm(&PAPER), &expected);
        assert_close(&holm(&[0.04, 0.001, 0.03, 0.5]), &[0.09, 0.004, 0.09, 0.5]);
        assert_close(&holm(&[]), &[]);
    }

    #[test]
    fn benjamini_hochberg_is_that_of_r() {
        let expected = [
            0.0015, 0.003, 0.0095, 0.035625, 0.0603, 0.063857, 0.063857, 0.0645, 0.0765, 0.486,
            0.581182, 0.714875, 0.753231, 0.813214, 1.0,
        ];
        assert_close(&benjamini_hochberg(&PAPER), &expected);
        let found = benjamini_hochberg(&[0.04, 0.001, 0.03, 0.5]);
        assert_close(&found, &[0.053_333_333, 0.004, 0.053_333_333, 0.5]);
    }
}
