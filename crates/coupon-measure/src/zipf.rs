//! Ranks of which the first come most.

use crate::random::Random;

/// Ranks 1 to n, rank k with a weight of k^-s, in constant time: a draw from the continuous envelope
/// min(1, x^-s) is rounded up, and kept as often as the rank's weight is to the envelope there.
#[derive(Debug, Clone)]
pub struct Zipf {
    exponent: f64,
    area: f64,
}

impl Zipf {
    /// `ranks` must not be 0.
    pub fn new(ranks: u64, exponent: f64) -> Self {
        let ranks = ranks as f64;
        let area = if is_one(exponent) {
            1.0 + ranks.ln()
        } else {
            (ranks.powf(1.0 - exponent) - exponent) / (1.0 - exponent)
        };
        Self { exponent, area }
    }

    fn inverse(&self, part: f64) -> f64 {
        let area = part * self.area;
        if area <= 1.0 {
            area
        } else if is_one(self.exponent) {
            (area - 1.0).exp()
        } else {
            (area * (1.0 - self.exponent) + self.exponent).powf(1.0 / (1.0 - self.exponent))
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is 1 to 2^53")]
    /// The next rank.
    pub fn sample(&self, random: &mut Random) -> u64 {
        loop {
            let point = self.inverse(random.unit());
            let rank = (point + 1.0).floor();
            // The envelope is flat below rank 2, and x^-s from there on.
            if rank < 2.0 || random.unit() < (point / rank).powf(self.exponent) {
                return rank as u64;
            }
        }
    }
}

fn is_one(exponent: f64) -> bool {
    (exponent - 1.0).abs() < 1e-9
}
