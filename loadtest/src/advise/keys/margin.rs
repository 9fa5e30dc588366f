//! The distance that the share of a value in a sample of places may have from its share of the table.

use super::sampled::Sampled;

/// Twice the standard error of a value's share, where the rows of a place are neighbours and may be alike. Places follow each
/// other at equal distances, so it is the difference from one to the next that counts: a value whose rows are all beside
/// each other is well known. None of fewer than two places.
pub(super) fn margin(sample: &[Sampled], value: &str) -> Option<f64> {
    let most = usize::try_from(sample.iter().map(|row| row.place).max()?).ok()?;
    let mut rows = vec![(0_u32, 0_u32); most + 1];
    for row in sample {
        if let Some((rows, of_value)) = rows.get_mut(usize::try_from(row.place).ok()?) {
            *rows += 1;
            *of_value += u32::from(&*row.value == value);
        }
    }
    let (places, all) = (rows.len() as f64, sample.len() as f64);
    if rows.len() < 2 {
        return None;
    }
    let share = f64::from(rows.iter().map(|(_, of_value)| of_value).sum::<u32>()) / all;
    // What a place adds to the share, beside what it would add if it had it as all have.
    let added =
        |&(rows, of_value): &(u32, u32)| (f64::from(of_value) - share * f64::from(rows)) * places / all;
    let added: Vec<f64> = rows.iter().map(added).collect();
    let steps: f64 = added.iter().zip(added.iter().skip(1)).map(|(one, next)| (next - one).powi(2)).sum();
    Some(2.0 * (steps / (2.0 * (places - 1.0)) / places).sqrt())
}

#[cfg(test)]
mod tests {
    use coupon_measure::Random;

    use super::*;

    /// The margin of ten rows at each of a thousand places.
    fn of(mut has: impl FnMut(u32, u32) -> bool) -> f64 {
        let mut row = |place, number| Sampled {
            value: u32::from(has(place, number)).to_string().into(),
            timed: false,
            moment: 0,
            place,
        };
        let sample: Vec<Sampled> = (0..10_000).map(|row_of| row(row_of / 10, row_of % 10)).collect();
        margin(&sample, "1").unwrap()
    }

    #[test]
    fn what_lies_together_is_known_by_its_places_and_what_comes_in_patches_is_not() {
        // Two fifths of the table, all beside each other: where it ends is known to a place.
        let beside = of(|place, _| place < 400);
        assert!((0.0005..0.002).contains(&beside), "{beside}");
        // The same share in a random two fifths of the places.
        let (mut random, mut here) = (Random::new(1, 1), false);
        let patches = of(|_, number| {
            here = if number == 0 { random.below(5) < 2 } else { here };
            here
        });
        assert!((0.025..0.04).contains(&patches), "{patches}");
        // As many rows all over: as if each had been drawn by itself.
        let spread = of(|_, _| random.below(5) < 2);
        assert!((0.008..0.012).contains(&spread), "{spread}");
    }

    #[test]
    fn one_place_says_nothing() {
        assert_eq!(margin(&[], "1"), None);
        let row = Sampled { value: "1".into(), timed: false, moment: 0, place: 0 };
        assert_eq!(margin(&[row], "1"), None);
    }
}
