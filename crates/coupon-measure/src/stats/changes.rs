//! Places at which series of figures change, found together in a table of many.
//!
//! A place splits a stretch into what came before it and what came after, and Student's t between the two sides says how clear a
//! change there is. It is sought in stretches of many lengths, so that a change that was undone is as clear as one that stayed
//! (S. Kovács, P. Bühlmann, H. Li and A. Munk, *Seeded Binary Segmentation*, Biometrika 2023), and made comparable between long
//! and short ones by the normal deviate that is as seldom (D. L. Wallace, *Bounds on Normal Approximations to Student's and the
//! Chi-Square Distributions*, 1959). A series' clearest place parts it, and its two parts are searched again.
//!
//! No formula says how clear a place is by chance, with so many of them, in series that have much in common. So a
//! series' clearest is held against the clearest of all that are searched in the same columns when these are put into
//! other orders, the same for all series: where nothing changed, any order was as likely, whatever the figures'
//! distribution is and whatever the series have in common (P. H. Westfall and S. S. Young, *Resampling-Based Multiple
//! Testing*, 1993: the clearest of all is what corrects for their number). It takes columns to be independent of each
//! other. In a table in which nothing changed it finds a change with a probability of [`ERROR`] at most. Parts share
//! that by their lengths (N. Meinshausen, *Hierarchical Testing of Variable Importance*, Biometrika 2008).

use std::collections::BTreeMap;
use std::ops::Range;

use super::ERROR;
use crate::random::Random;

/// The least number of figures on either side of a place: one or two that are off are no change that lasted.
pub const LEAST_SIDE: usize = 3;

/// The least number of columns in which a change can be found: with fewer, too many orders are as clear as any.
pub const FEWEST: usize = 8;

/// The orders that are drawn.
const ORDERS: usize = 1_999;

/// Distances that arithmetic alone makes.
const TINY: f64 = 1e-9;

/// A place at which a series changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// The first column after it.
    pub at: usize,
    /// The probability of as clear a change of any series if nothing changed.
    pub p: f64,
}

/// The places at which each series of a table changes, from the first. Columns may lack figures. Figures of a series
/// never differ by less than `least`, however close a few of them happen to lie.
#[must_use]
pub fn places(series: &[Vec<Option<f64>>], least: f64, seed: u64) -> Vec<Vec<ChangePoint>> {
    let columns = series.iter().map(Vec::len).max().unwrap_or(0);
    let mut found = vec![Vec::new(); series.len()];
    let mut open = BTreeMap::new();
    if columns >= FEWEST {
        open.insert((0, columns), (0..series.len()).collect::<Vec<_>>());
    }
    while !open.is_empty() {
        let searched: usize = open.keys().map(|(start, end)| end - start).sum();
        let mut parts: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for ((start, end), of) in open {
            let part = (end - start) as f64 / searched.max(columns) as f64;
            let stretch = Stretch::of(start..end, of.iter().filter_map(|index| series.get(*index)), least);
            let told =
                of.iter().zip(stretch.places(part, seed)).filter_map(|(index, place)| Some((*index, place?)));
            for (index, place) in told {
                parts.entry((start, place.at)).or_default().push(index);
                parts.entry((place.at, end)).or_default().push(index);
                found.get_mut(index).into_iter().for_each(|places| places.push(place));
            }
        }
        open = parts;
    }
    found.iter_mut().for_each(|places| places.sort_by_key(|place| place.at));
    found
}

/// Columns of a table, and the series that are searched in them.
struct Stretch {
    columns: Range<usize>,
    series: Vec<Series>,
}

/// A series in it.
struct Series {
    /// The figures, less their mean.
    figures: Vec<Option<f64>>,
    /// The stretches of those that there are in which places are sought.
    within: Vec<Range<usize>>,
    least: f64,
}

impl Stretch {
    fn of<'s>(columns: Range<usize>, series: impl Iterator<Item = &'s Vec<Option<f64>>>, least: f64) -> Self {
        let of =
            |series: &Vec<Option<f64>>| Series::of(series.get(columns.clone()).unwrap_or_default(), least);
        let series = series.map(of).collect();
        Self { columns, series }
    }

    /// Each series' clearest place, where chance would seldom make it in a part that is as large of all that is searched.
    fn places(&self, part: f64, seed: u64) -> Vec<Option<ChangePoint>> {
        let clearest: Vec<Option<(f64, usize)>> = self.series.iter().map(Series::clearest).collect();
        let most = clearest.iter().flatten().map(|(clear, _)| *clear).fold(0.0, f64::max);
        let Some(by_chance) = self.by_chance(most, ERROR * part, seed) else {
            return vec![None; clearest.len()];
        };
        let place = |(clear, at): (f64, usize)| {
            let as_clear = by_chance.iter().filter(|other| **other >= clear - TINY).count();
            let p = (as_clear + 1) as f64 / (ORDERS + 1) as f64 / part;
            (p <= ERROR).then_some(ChangePoint { at: self.columns.start + at, p })
        };
        clearest.into_iter().map(|found| found.and_then(place)).collect()
    }

    /// The clearness of the clearest place of each of many orders; none as soon as too many of them are as clear as the one
    /// found.
    fn by_chance(&self, found: f64, error: f64, seed: u64) -> Option<Vec<f64>> {
        let stream = (self.columns.start as u64) << 32 | self.columns.end as u64;
        let mut random = Random::new(seed, stream);
        let mut order: Vec<usize> = (0..self.columns.len()).collect();
        let (mut clearest, mut as_clear) = (Vec::with_capacity(ORDERS), 1);
        let mut sums = Vec::with_capacity(order.len() + 1);
        while clearest.len() < ORDERS {
            shuffle(&mut order, &mut random);
            let clear = self.series.iter().filter_map(|series| {
                let figure = |at: &usize| series.figures.get(*at).copied().flatten();
                Sums::running(order.iter().filter_map(figure), &mut sums);
                Some(series.clearest_of(&sums)?.0)
            });
            let most = clear.fold(0.0, f64::max);
            as_clear += usize::from(most >= found - TINY);
            if as_clear as f64 > error * (ORDERS + 1) as f64 {
                return None;
            }
            clearest.push(most);
        }
        Some(clearest)
    }
}

impl Series {
    fn of(figures: &[Option<f64>], least: f64) -> Self {
        let known = figures.iter().flatten().count();
        let mean = figures.iter().flatten().sum::<f64>() / known.max(1) as f64;
        let figures = figures.iter().map(|figure| figure.map(|figure| figure - mean)).collect();
        Self { figures, within: seeded(known), least: least.max(f64::MIN_POSITIVE) }
    }

    fn sums(&self) -> Vec<Sums> {
        let mut sums = Vec::new();
        Sums::running(self.figures.iter().flatten().copied(), &mut sums);
        sums
    }

    /// The clearness of its clearest place, and the column that begins the later side.
    fn clearest(&self) -> Option<(f64, usize)> {
        let (clear, earlier) = self.clearest_of(&self.sums())?;
        let known = self.figures.iter().enumerate().filter(|(_, figure)| figure.is_some());
        Some((clear, known.map(|(at, _)| at).nth(earlier)?))
    }

    /// The clearness of the clearest place of figures with these sums, and the number of those before it.
    fn clearest_of(&self, sums: &[Sums]) -> Option<(f64, usize)> {
        let mut clearest: Option<(f64, usize)> = None;
        for within in &self.within {
            // Of places in one stretch, the larger t is the clearer one.
            let (mut most, mut place) = (-1.0, within.start);
            for at in within.start + LEAST_SIDE..=within.end - LEAST_SIDE {
                let t_squared = self.t_squared(sums, within, at)?;
                if t_squared > most {
                    (most, place) = (t_squared, at);
                }
            }
            let clear = deviate(most, within.len());
            if clearest.is_none_or(|(most, _)| clear > most) {
                clearest = Some((clear, place));
            }
        }
        clearest
    }

    /// The square of Student's t between the two sides of a place, which vary alike.
    fn t_squared(&self, sums: &[Sums], within: &Range<usize>, at: usize) -> Option<f64> {
        let (first, middle, last) = (sums.get(within.start)?, sums.get(at)?, sums.get(within.end)?);
        let (earlier, later) = (middle.less(first), last.less(middle));
        let (one, other) = ((at - within.start) as f64, (within.end - at) as f64);
        let spread = earlier.spread(one) + later.spread(other);
        let variance = (spread / (one + other - 2.0)).max(self.least * self.least);
        let apart = earlier.sum / one - later.sum / other;
        Some(apart * apart / (variance * (1.0 / one + 1.0 / other)))
    }
}

/// The normal deviate that is as seldom as a t with this square, between two sides of so many figures together.
fn deviate(t_squared: f64, figures: usize) -> f64 {
    let degrees = figures as f64 - 2.0;
    (8.0 * degrees + 1.0) / (8.0 * degrees + 3.0) * (degrees * (t_squared / degrees).ln_1p()).sqrt()
}

/// Stretches of so many figures: all of them, and ever shorter ones that overlap by half or more.
fn seeded(figures: usize) -> Vec<Range<usize>> {
    let mut stretches = Vec::new();
    let mut times = 1.0_f64;
    loop {
        let length = figures as f64 / times;
        if length < (2 * LEAST_SIDE) as f64 {
            return stretches;
        }
        let number = 2 * times.ceil() as usize - 1;
        let step = (figures as f64 - length) / (number.max(2) - 1) as f64;
        stretches.extend((0..number).map(|nth| {
            let start = nth as f64 * step;
            start.floor() as usize..((start + length).ceil() as usize).min(figures)
        }));
        times *= std::f64::consts::SQRT_2;
    }
}

/// Any order is as likely (R. Durstenfeld, *Algorithm 235: Random Permutation*, CACM 1964).
fn shuffle(order: &mut [usize], random: &mut Random) {
    for last in (1..order.len()).rev() {
        let other = usize::try_from(random.below(last as u64 + 1)).unwrap_or(last);
        order.swap(last, other);
    }
}

/// The sum of some figures, and of their squares.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    sum: f64,
    squares: f64,
}

impl Sums {
    /// The sums of the first figures: of none, of one, of two, and so on.
    fn running(figures: impl Iterator<Item = f64>, sums: &mut Vec<Self>) {
        sums.clear();
        let mut so_far = Self::default();
        sums.push(so_far);
        for figure in figures {
            so_far = Self { sum: so_far.sum + figure, squares: so_far.squares + figure * figure };
            sums.push(so_far);
        }
    }

    fn less(&self, other: &Self) -> Self {
        Self { sum: self.sum - other.sum, squares: self.squares - other.squares }
    }

    /// The squares of the distances from the mean, of so many.
    fn spread(&self, number: f64) -> f64 {
        (self.squares - self.sum * self.sum / number).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: f64 = 0.01;

    /// Figures of so many columns: what the machine did to all of them, and what each has of its own, with long tails.
    fn noise(random: &mut Random, series: usize, columns: usize) -> Vec<Vec<Option<f64>>> {
        let tailed = |random: &mut Random| {
            let close = random.unit() + random.unit() - 1.0;
            0.1 * close + if random.unit() < 0.05 { 0.5 * random.exponential() } else { 0.0 }
        };
        let moods: Vec<f64> = (0..columns).map(|_| tailed(random)).collect();
        let one = |random: &mut Random| moods.iter().map(|mood| Some(mood + tailed(random))).collect();
        (0..series).map(|_| one(random)).collect()
    }

    fn step(series: &mut [Option<f64>], columns: Range<usize>, by: f64) {
        series[columns].iter_mut().flatten().for_each(|figure| *figure += by);
    }

    /// The places of the series that have any.
    fn changed(series: &[Vec<Option<f64>>], seed: u64) -> Vec<(usize, Vec<usize>)> {
        let found = places(series, LEAST, seed).into_iter().enumerate();
        let found = found.map(|(index, places)| (index, places.iter().map(|place| place.at).collect()));
        found.filter(|(_, places): &(usize, Vec<usize>)| !places.is_empty()).collect()
    }

    #[test]
    fn a_table_in_which_nothing_changed_seldom_tells_of_any_change() {
        let mut random = Random::new(1, 0);
        let tables = 200;
        let told = (0..tables)
            .filter(|table| {
                let columns = 8 + table % 9;
                !changed(&noise(&mut random, 10, columns), *table as u64).is_empty()
            })
            .count();
        // Two standard errors of 5 % in 200.
        let most = 0.05 + 2.0 * (0.05_f64 * 0.95 / tables as f64).sqrt();
        assert!(told as f64 / tables as f64 <= most, "{told} of {tables}");
    }

    #[test]
    fn a_planted_change_is_found_where_it_is_and_in_the_series_that_has_it() {
        let mut random = Random::new(2, 0);
        let mut others = 0;
        for table in 0..12 {
            let mut series = noise(&mut random, 16, 24);
            step(&mut series[7], 18..24, 1.0);
            let found = places(&series, LEAST, table);
            let [ChangePoint { at, p }] = found[7][..] else { panic!("{found:?}") };
            assert!((17..=19).contains(&at) && p <= 0.01, "{found:?}");
            others += usize::from(found.iter().filter(|places| !places.is_empty()).count() > 1);
        }
        // More would come of 5 % in one case of fifty.
        assert!(others <= 2, "{others}");
    }

    #[test]
    fn a_change_that_was_undone_has_two_places() {
        let mut series = noise(&mut Random::new(3, 0), 10, 30);
        step(&mut series[0], 10..20, 2.0);
        step(&mut series[4], 10..30, -2.0);
        assert_eq!(changed(&series, 1), [(0, vec![10, 20]), (4, vec![10])]);
    }

    #[test]
    fn changes_of_two_series_close_to_each_other_hide_none() {
        let mut series = noise(&mut Random::new(3, 0), 10, 30);
        step(&mut series[0], 10..18, 2.0);
        step(&mut series[4], 16..30, 3.0);
        step(&mut series[5], 19..30, 3.0);
        assert_eq!(changed(&series, 1), [(0, vec![10, 18]), (4, vec![16]), (5, vec![19])]);
    }

    #[test]
    fn eight_columns_can_tell_a_change_of_three_and_seven_none() {
        let clear = |before: usize, after: usize| {
            let mut series = vec![vec![Some(0.0); before + after]; 40];
            for (at, of) in series.iter_mut().enumerate() {
                of.iter_mut().flatten().zip(at..).for_each(|(figure, n)| *figure = (n % 5) as f64 * 0.01);
            }
            step(&mut series[3], before..before + after, 1.0);
            changed(&series, 1)
        };
        assert_eq!(clear(5, 3), [(3, vec![5])]);
        assert_eq!(clear(4, 3), []);
        assert_eq!(clear(12, 1), [], "one that is off is no change that lasted");
    }

    #[test]
    fn figures_that_are_missing_hide_no_change() {
        let mut series = noise(&mut Random::new(4, 0), 10, 30);
        step(&mut series[2], 15..30, 2.0);
        for at in [0, 3, 14, 15, 22] {
            series[2][at] = None;
        }
        series[5] = vec![None; 30];
        series[6][2..].fill(None);
        series.push(Vec::new());
        assert_eq!(changed(&series, 1), [(2, vec![16])]);
        assert_eq!(places(&series, LEAST, 1), places(&series, LEAST, 1));
        assert_eq!((changed(&[], 1), changed(&[vec![None; 20]], 1)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn stretches_are_of_many_lengths_and_overlap() {
        let stretches = seeded(24);
        assert_eq!((stretches[0].clone(), seeded(5).len()), (0..24, 0));
        assert_eq!((seeded(6).len(), seeded(6)[0].clone()), (1, 0..6));
        // Whatever ten figures follow each other, there is a stretch of twenty at most that holds them.
        for from in 0..=14 {
            let holds = |of: &&Range<usize>| of.start <= from && of.end >= from + 10 && of.len() <= 20;
            assert!(stretches.iter().any(|of| holds(&of)), "{from}: {stretches:?}");
        }
        assert!(stretches.iter().all(|of| of.len() >= 2 * LEAST_SIDE && of.end <= 24), "{stretches:?}");
    }

    #[test]
    fn a_deviate_is_as_seldom_as_the_t_that_it_stands_for() {
        use super::super::student::two_sided;
        for (t, degrees) in [(2.776_f64, 4.0), (4.604, 4.0), (2.145, 14.0), (2.977, 14.0), (9.0, 6.0)] {
            let (of_t, of_deviate) =
                (two_sided(t, degrees), two_sided(deviate(t * t, degrees as usize + 2), 1e7));
            assert!((of_deviate / of_t - 1.0).abs() < 0.15, "{t} {degrees}: {of_t} {of_deviate}");
        }
    }

    #[test]
    fn what_never_varies_never_changes() {
        let mut constant = vec![vec![Some(1.0); 20]; 3];
        assert_eq!(changed(&constant, 1), []);
        step(&mut constant[0], 10..20, 0.5);
        assert_eq!(changed(&constant, 1), [(0, vec![10])]);
    }
}
