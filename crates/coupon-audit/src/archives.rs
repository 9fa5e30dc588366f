//! The results that archives took, by main's record of changes: each coupon whose total falls with results that were archived is
//! named there before the first of them goes, with their number and the day that is kept, once its end has come.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use coupon_core::{Day, ResultId, Timestamp};

use super::books::Line;
use super::source::Coupon;

/// A line of the record that an archive made.
pub(super) struct Archived {
    /// None in the line of a whole archive, which may take nothing that holds stock.
    pub(super) coupon: Option<i64>,
    pub(super) time: i64,
    /// Its words.
    pub(super) what: String,
}

/// Everything that is named of a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Named {
    results: i64,
    /// The time of the first line: no result went earlier.
    since: i64,
}

/// The archives that the record of changes names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Archives {
    /// The last line of the stock log that is older than the first archive which the record names; none where it names none.
    from: Option<i64>,
    coupons: BTreeMap<i64, Named>,
    /// The latest day that was the first to be kept.
    kept_from: Option<Day>,
}

impl Archives {
    /// The name under which main's label has that line.
    pub(super) const FROM: &str = "archives_named_from";

    /// The query for [`Archived`], on any kind of database.
    pub(super) const SELECT: &str = "SELECT coupon_id, change_time, what FROM catalogue_changes \
         WHERE (operator = 'archive' AND coupon_id IS NOT NULL) \
         OR (coupon_id IS NULL AND what LIKE 'results of the days before % are archived') ORDER BY version";

    /// The archives that main records.
    ///
    /// # Errors
    /// When what its label says is no number.
    pub(super) fn of(from: Option<&str>, lines: impl IntoIterator<Item = Archived>) -> Result<Self> {
        let number = |said: &str| {
            said.parse()
                .with_context(|| format!("main's label says {} {said:?}, which is no number", Self::FROM))
        };
        let mut archives = Self { from: from.map(number).transpose()?, ..Self::default() };
        for Archived { coupon, time, what } in lines {
            let Some(coupon) = coupon else {
                archives.kept_from = archives.kept_from.max(read_whole(&what));
                continue;
            };
            // Words that say neither name the coupon alone.
            let (results, day) = read(&what).unzip();
            let named = archives.coupons.entry(coupon).or_insert(Named { results: 0, since: time });
            named.results += results.unwrap_or(0);
            named.since = named.since.min(time);
            archives.kept_from = archives.kept_from.max(day);
        }
        Ok(archives)
    }

    /// The faults of a coupon's lines by which its total falls with what was archived.
    pub(super) fn faults(&self, lines: &[Line], coupon: Option<&Coupon>) -> Vec<String> {
        let Some(from) = self.from else { return Vec::new() };
        let told = || lines.iter().filter(|line| line.id > from && line.archives());
        let Some(first) = told().next() else { return Vec::new() };
        let Some(Named { results, since }) = self.coupons.get(&first.coupon).copied() else {
            return vec![format!(
                "line {} of the stock log lowers its total by results that were archived, and the record of changes names no \
                 archive of it",
                first.id
            )];
        };
        let gone: i64 = told().map(|line| line.before - line.after).sum();
        let too_many = (gone > results).then(|| {
            format!("the stock log lowers its total by {gone} results that were archived, and the record of changes names {results}")
        });
        let on_offer = coupon.filter(|coupon| coupon.end > since).map(|coupon| {
            let [end, since] = [coupon.end, since].map(Timestamp::from_millis);
            format!("results of it were archived at {since}, and it is on offer until {end}")
        });
        too_many.into_iter().chain(on_offer).collect()
    }

    /// True if no archive that is named took results as late as this one.
    pub(super) fn kept(&self, result: i64) -> bool {
        let day = ResultId::from_number(result).ok().map(|id| id.time().day());
        self.from.is_some() && day.zip(self.kept_from).is_some_and(|(day, kept)| day >= kept)
    }
}

/// The number of results that words of the record name, and the first day that is kept.
fn read(what: &str) -> Option<(i64, Day)> {
    let (results, rest) = what.split_once(" results of before ")?;
    let (day, _) = rest.split_once(' ')?;
    Some((results.parse().ok()?, day.parse().ok()?))
}

/// The first day that is kept, in the words for a whole archive.
fn read_whole(what: &str) -> Option<Day> {
    what.strip_prefix("results of the days before ")?.strip_suffix(" are archived")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use coupon_core::catalogue_change::{archive_begins, results_archived};

    use super::*;

    #[test]
    fn the_words_of_the_record_are_read_as_they_are_written() {
        let day: Day = "2026-11-22".parse().unwrap();
        assert_eq!(read(&results_archived(7, day)), Some((7, day)));
        assert_eq!(read("an archive"), None);
        assert_eq!(read_whole(&archive_begins(day)), Some(day));
        assert_eq!(read_whole(&results_archived(7, day)), None);
    }

    #[test]
    fn an_archive_that_names_no_coupon_says_what_it_keeps() {
        let [earlier, later]: [Day; 2] = ["2026-11-20", "2026-11-22"].map(|day| day.parse().unwrap());
        let line = |coupon, what| Archived { coupon, time: 0, what };
        let named = line(Some(5), results_archived(7, earlier));
        let of = |lines| Archives::of(Some("0"), lines).unwrap();
        let result = ResultId::from_parts(earlier.start(), 1, 0).unwrap().number();
        assert!(of(vec![line(Some(5), results_archived(7, earlier))]).kept(result));
        assert!(!of(vec![named, line(None, archive_begins(later))]).kept(result));
    }
}
