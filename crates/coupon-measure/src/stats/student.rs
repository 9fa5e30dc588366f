//! Student's distribution: how often equal contestants differ by as much as two did.

/// The probability that |t| is at least as large by chance, with so many degrees of freedom.
#[must_use]
pub fn two_sided(t: f64, degrees: f64) -> f64 {
    if t.is_nan() || degrees <= 0.0 {
        return 1.0;
    }
    if t.is_infinite() {
        return 0.0;
    }
    incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + t * t)).clamp(0.0, 1.0)
}

/// The same for the mean of some values, if the true mean is 0. Values that are all alike and not 0 leave no room for chance;
/// fewer than two say nothing.
#[must_use]
pub fn of_mean(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return 1.0;
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (n - 1.0) / n).sqrt();
    // What is left of equal numbers after arithmetic is no spread.
    if error <= f64::EPSILON * mean.abs() * 8.0 {
        return if mean.abs() <= f64::EPSILON { 1.0 } else { 0.0 };
    }
    two_sided(mean / error, n - 1.0)
}

/// The same for the difference of the means of two lots of values, which vary alike: by `least` at any rate, however
/// close a few of them happen to lie.
#[must_use]
pub fn of_two(one: &[f64], other: &[f64], least: f64) -> f64 {
    let degrees = (one.len() + other.len()) as f64 - 2.0;
    if one.is_empty() || other.is_empty() || degrees <= 0.0 {
        return 1.0;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let squares = |values: &[f64]| {
        let mean = mean(values);
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
    };
    let spread = ((squares(one) + squares(other)) / degrees).sqrt().max(least);
    let error = spread * (1.0 / one.len() as f64 + 1.0 / other.len() as f64).sqrt();
    two_sided((mean(one) - mean(other)) / error, degrees)
}

/// The regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun 26.5.8, Lentz's method).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        // Here the fraction of the other end converges faster.
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp() / a;
    front * fraction(a, b, x)
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut found = d;
    for step in 1..300 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            found *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    found
}

/// The logarithm of the gamma function above 0 (Lanczos, g = 7).
fn ln_gamma(x: f64) -> f64 {
    const FIRST: f64 = 0.999_999_999_999_809_9;
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let series = COEFFICIENTS.iter().zip(1..).fold(FIRST, |sum, (each, at)| sum + each / (x + f64::from(at)));
    let t = x + 7.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + series.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantiles_are_those_of_the_tables() {
        // Degrees of freedom, and the t that 5 % and 1 % exceed on either side.
        for (degrees, five, one) in
            [(1.0, 12.706, 63.657), (4.0, 2.776, 4.604), (14.0, 2.145, 2.977), (120.0, 1.980, 2.617)]
        {
            assert!(
                (two_sided(five, degrees) - 0.05).abs() < 2e-4,
                "{degrees}: {}",
                two_sided(five, degrees)
            );
            assert!(
                (two_sided(-one, degrees) - 0.01).abs() < 1e-4,
                "{degrees}: {}",
                two_sided(-one, degrees)
            );
        }
        assert_eq!((two_sided(0.0, 4.0), two_sided(f64::INFINITY, 4.0)), (1.0, 0.0));
    }

    #[test]
    fn two_lots_differ_by_what_lies_between_them_and_within() {
        let (one, other) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        // t = 4.382 with 6 degrees of freedom.
        assert!((of_two(&one, &other, 0.0) - 0.004_66).abs() < 1e-4, "{}", of_two(&one, &other, 0.0));
        assert_eq!((of_two(&one, &[], 0.1), of_two(&[1.0], &[2.0], 0.1)), (1.0, 1.0));
        assert!(
            of_two(&[1.0; 4], &[1.02], 0.01) > 0.1,
            "values that happen to agree are not sure of anything"
        );
    }

    #[test]
    fn what_never_varies_is_no_chance_and_nothing_is_no_finding() {
        assert_eq!(of_mean(&[0.7; 5]), 0.0);
        assert_eq!(of_mean(&[0.0; 5]), 1.0);
        assert_eq!((of_mean(&[3.0]), of_mean(&[])), (1.0, 1.0));
        assert!((of_mean(&[1.0, 2.0, 3.0, 4.0, 5.0]) - 0.0132).abs() < 1e-3);
    }
}
