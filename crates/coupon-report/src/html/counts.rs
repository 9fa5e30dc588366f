//! Counts by range of keys, downwards, and by time, as a map of shades.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::{Markup, html};

use super::svg::{WIDTH, px, short};

/// The sides of a map: labels stand to the left of it.
pub(super) const LEFT: f64 = 82.0;
pub(super) const RIGHT: f64 = WIDTH - 6.0;
/// The most letters of a label.
const LABEL: usize = 12;
/// The height that a label needs.
const LABEL_HEIGHT: f64 = 12.0;
/// The most that a range is high, where there are few.
const ROW_MOST: f64 = 12.0;
/// The shades of a map: cells of one shade are one path, so that a page of many maps stays small.
const SHADES: u8 = 8;

/// Ranges of keys with their counts, of which each has as many, one after the other.
#[derive(Debug)]
pub(super) struct Counts<'a> {
    /// The label of each range, and its counts.
    pub(super) ranges: Vec<(&'a str, &'a [u64])>,
    /// The most that all of them together are high.
    pub(super) height: f64,
}

impl Counts<'_> {
    /// The height of the map.
    pub(super) fn height(&self) -> f64 {
        self.row() * self.ranges.len() as f64
    }

    /// The greatest of all counts.
    pub(super) fn most(&self) -> u64 {
        self.ranges.iter().flat_map(|(_, counts)| *counts).copied().max().unwrap_or(0)
    }

    /// The map, whose darkest shade stands for `most`.
    pub(super) fn drawn(&self, most: u64, top: f64) -> Markup {
        let row = self.row();
        let every = (LABEL_HEIGHT / row).ceil() as usize;
        html! {
            @for (at, (label, _)) in self.ranges.iter().enumerate().step_by(every) {
                text.tick x=(px(LEFT - 5.0)) y=(px(top + row * at as f64 + row.max(9.0) / 2.0 + 4.0)) text-anchor="end" {
                    (short(label, LABEL))
                }
            }
            rect.heat x=(px(LEFT)) y=(px(top)) width=(px(RIGHT - LEFT)) height=(px(self.height())) fill-opacity="0.06" {}
            @for (shade, path) in self.paths(most, top) {
                path.heat d=(path) fill-opacity=(format!("{:.2}", f64::from(shade) / f64::from(SHADES))) {}
            }
        }
    }

    /// The height of a range.
    fn row(&self) -> f64 {
        (self.height / self.ranges.len().max(1) as f64).min(ROW_MOST)
    }

    /// The cells of each shade, as one path.
    fn paths(&self, most: u64, top: f64) -> BTreeMap<u8, String> {
        let steps = self.ranges.first().map_or(0, |(_, counts)| counts.len());
        let (row, column) = (self.row(), (RIGHT - LEFT) / steps.max(1) as f64);
        let (width, height) = (px((column - 0.3).max(0.3)), px((row - 0.3).max(0.3)));
        let mut paths = BTreeMap::<u8, String>::new();
        for (range, (_, counts)) in self.ranges.iter().enumerate() {
            for (step, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let (x, y) = (px(LEFT + column * step as f64), px(top + row * range as f64));
                let path = paths.entry(shade(*count, most)).or_default();
                // Writing to a String cannot fail.
                let _ = write!(path, "M{x} {y}h{width}v{height}h-{width}z");
            }
        }
        paths
    }
}

/// The shade of a cell that has some, from 1. The power lifts low counts out of the dark, where eyes tell shades apart badly.
fn shade(count: u64, most: u64) -> u8 {
    let part = (count as f64 / most.max(1) as f64).powf(0.6);
    ((part * f64::from(SHADES)).ceil() as u8).clamp(1, SHADES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_one_shade_are_one_path_and_empty_ones_none() {
        let counts = Counts { ranges: vec![("0", &[100, 0, 100]), ("1", &[0, 1, 100])], height: 100.0 };
        assert_eq!(counts.most(), 100);
        let cells: Vec<(u8, usize)> =
            counts.paths(100, 0.0).iter().map(|(shade, path)| (*shade, path.matches('M').count())).collect();
        assert_eq!(cells, [(1, 1), (SHADES, 3)]);
    }

    #[test]
    fn a_single_grab_is_seen_beside_a_million() {
        assert_eq!((shade(1, 1_000_000), shade(1_000_000, 1_000_000)), (1, SHADES));
        assert!(shade(20, 100) > shade(5, 100));
    }
}
