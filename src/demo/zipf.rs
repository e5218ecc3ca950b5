//! Few are popular: ranks drawn by Zipf's law.

use rand::Rng;

/// Draws ranks `0..count`, rank `r` as often as `1 / (r + 1)^exponent`.
#[derive(Debug)]
pub(super) struct Zipf {
    /// How likely this rank or a lower one is; the last is 1.
    cumulative: Vec<f64>,
}

impl Zipf {
    /// `count` is at least 1.
    pub(super) fn new(count: usize, exponent: f64) -> Self {
        Self::weighted((1..=count.max(1)).map(|rank| (rank as f64).powf(-exponent)))
    }

    /// Draws by given weights.
    pub(super) fn weighted(weights: impl IntoIterator<Item = f64>) -> Self {
        let mut total = 0.0;
        let mut cumulative: Vec<f64> = weights
            .into_iter()
            .map(|weight| {
                total += weight;
                total
            })
            .collect();
        for bound in &mut cumulative {
            *bound /= total;
        }
        Self { cumulative }
    }

    pub(super) fn draw(&self, rng: &mut impl Rng) -> usize {
        self.at(rng.random())
    }

    /// The rank at a point of `0.0..1.0`.
    fn at(&self, point: f64) -> usize {
        // The last bound may have been rounded below 1.
        self.cumulative
            .partition_point(|bound| *bound <= point)
            .min(self.cumulative.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn ranks_follow_the_law() {
        let zipf = Zipf::new(3, 1.0);
        // 1, 1/2, 1/3 of 11/6.
        assert_eq!(
            [0.0, 0.54, 0.55, 0.81, 0.82, 1.0].map(|point| zipf.at(point)),
            [0, 0, 1, 1, 2, 2]
        );
    }

    #[test]
    fn the_first_is_drawn_most_and_all_are_drawn() {
        let zipf = Zipf::new(100, 1.0);
        let mut rng = StdRng::seed_from_u64(1);
        let mut counts = [0; 100];
        for _ in 0..100_000 {
            counts[zipf.draw(&mut rng)] += 1;
        }
        assert!(counts.iter().all(|count| *count > 0));
        assert!(
            (1.8..2.2).contains(&(f64::from(counts[0]) / f64::from(counts[1]))),
            "{counts:?}"
        );
    }
}
