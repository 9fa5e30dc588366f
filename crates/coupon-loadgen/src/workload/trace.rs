//! Recorded grabs, to be sent again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use coupon_core::Timestamp;
use serde::Serialize;

use super::{CatalogueSpec, Endpoint, Request};

const HEADER: &str = "user_id,room_id,coupon_id,grab_time";

/// Recorded requests, in the order of their times. Sent again they keep the shape of what was recorded, its bursts
/// and lulls, while the rate asked for sets the pace, unless the trace sets it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// The file they are from.
    pub file: String,
    /// Each with the time since the first.
    #[serde(skip)]
    requests: Arc<[(Duration, Request)]>,
    /// The part of them that is sent.
    #[serde(skip)]
    part: Range<usize>,
    /// Recorded seconds that pass in a second.
    speed: Option<f64>,
}

impl Trace {
    /// Reads `user_id,room_id,coupon_id,grab_time` lines under that header; times are RFC 3339.
    ///
    /// # Errors
    /// Names the line and what is wrong with it, also when an id is not one of the catalogue.
    pub fn read(text: &str, file: String, catalogue: &CatalogueSpec) -> anyhow::Result<Self> {
        let mut lines = text.lines().enumerate();
        let header = lines.next().map(|(_, line)| line.trim());
        ensure!(header == Some(HEADER), "{file}, line 1: must be {HEADER}");
        let mut grabs = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            grabs.push(grab(line, catalogue).with_context(|| format!("{file}, line {}", number + 1))?);
        }
        grabs.sort_by_key(|(time, _)| *time);
        ensure!(!grabs.is_empty(), "{file} has no grabs");
        Ok(Self::of(file, &grabs, None))
    }

    /// These requests, which must be in the order of their times; with a speed, so many recorded seconds pass in one.
    #[must_use]
    pub fn of(file: String, requests: &[(Timestamp, Request)], speed: Option<f64>) -> Self {
        let first = requests.first().map_or(0, |(time, _)| time.millis());
        let since_first = |time: Timestamp| Duration::from_millis(time.millis().abs_diff(first));
        let requests: Arc<[_]> =
            requests.iter().map(|(time, request)| (since_first(*time), *request)).collect();
        Self { file, part: 0..requests.len(), requests, speed }
    }

    /// One of so many consecutive parts with (nearly) as many requests each, counted from 0.
    #[must_use]
    pub fn part(&self, index: u32, of: u32) -> Self {
        let cut = |number: u32| {
            let before = self.len() as u64 * u64::from(number.min(of)) / u64::from(of.max(1));
            self.part.start + usize::try_from(before).unwrap_or(usize::MAX)
        };
        Self { part: cut(index)..cut(index.saturating_add(1)), ..self.clone() }
    }

    /// Requests about what its first requests are about that change nothing: at most so many, at any rate.
    #[must_use]
    pub fn looks(&self, most: usize) -> Self {
        let kinds = [Endpoint::Stock, Endpoint::UserCoupons].into_iter().cycle();
        let all = self.requests.get(self.part.clone()).unwrap_or_default();
        let looks = all.iter().take(most).zip(kinds);
        let requests: Arc<[_]> =
            looks.map(|((at, request), endpoint)| (*at, Request { endpoint, ..*request })).collect();
        Self { file: self.file.clone(), part: 0..requests.len(), requests, speed: None }
    }

    /// The number of requests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.part.len()
    }

    /// True when there are none: so it is with more parts than requests.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.part.is_empty()
    }

    /// The time from the first request to the last, if the trace sets the pace.
    #[must_use]
    pub fn length(&self) -> Option<Duration> {
        self.since_first(self.len().checked_sub(1)?)
            .zip(self.speed)
            .map(|(time, speed)| paced(time, 1.0 / speed))
    }

    pub(super) fn request(&self, number: usize) -> Option<Request> {
        self.at(number).map(|(_, request)| *request)
    }

    /// The time at which that request is due: by its own speed, or at so many a second on average.
    pub(super) fn moment(&self, number: usize, rate: f64) -> Option<Duration> {
        let time = self.since_first(number)?;
        if let Some(speed) = self.speed {
            return Some(paced(time, 1.0 / speed));
        }
        let last = self.since_first(self.len() - 1)?;
        if last.is_zero() {
            return Some(Duration::ZERO);
        }
        Some(paced(time, self.len() as f64 / rate / last.as_secs_f64()))
    }

    fn at(&self, number: usize) -> Option<&(Duration, Request)> {
        let index = self.part.start.checked_add(number).filter(|index| *index < self.part.end)?;
        self.requests.get(index)
    }

    fn since_first(&self, number: usize) -> Option<Duration> {
        let ((first, _), (time, _)) = (self.at(0)?, self.at(number)?);
        Some(time.saturating_sub(*first))
    }
}

fn paced(time: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

fn grab(line: &str, catalogue: &CatalogueSpec) -> anyhow::Result<(Timestamp, Request)> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [user, room, coupon, time] = fields.as_slice() else {
        return Err(anyhow!("must have four fields, {HEADER}"));
    };
    let id = |name: &str, text: &str, most: u64| {
        let id = text.parse().ok().filter(|id| (1..=most).contains(id));
        id.with_context(|| format!("{name}: must be 1 to {most}, as in the catalogue, not {text:?}"))
    };
    let user_id = id("user_id", user, catalogue.users)?;
    let room_id = id("room_id", room, catalogue.rooms)?;
    let coupon_id = id("coupon_id", coupon, catalogue.coupons())?;
    let own = catalogue.room_of(coupon_id);
    ensure!(own == room_id, "room_id: coupon {coupon_id} belongs to room {own}, not {room_id}");
    let time = time.parse::<Timestamp>().context("grab_time")?;
    Ok((time, Request::alone(Endpoint::Grab, user_id, coupon_id, room_id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> anyhow::Result<Trace> {
        Trace::read(&format!("{HEADER}\n{lines}"), "x.csv".into(), &CatalogueSpec::default())
    }

    #[test]
    fn grabs_are_sent_in_the_order_of_their_times_and_keep_their_shape_at_any_rate() {
        let trace = read(
            "7,1,5,2026-11-22T10:00:03.000Z\n8,1,5,2026-11-22T10:00:00.000Z\n\n9,2,6,2026-11-22T10:00:01.500Z\n\
             9,2,7,2026-11-22T10:00:01.500Z\n",
        )
        .unwrap();
        let users: Vec<_> = (0..4).map(|number| trace.request(number).unwrap().user_id).collect();
        assert_eq!(users, [8, 9, 9, 7]);
        let millis = |rate| (0..4).map(|n| trace.moment(n, rate).unwrap().as_millis()).collect::<Vec<_>>();
        assert_eq!(millis(1.0), [0, 2_000, 2_000, 4_000]);
        assert_eq!(millis(4.0), [0, 500, 500, 1_000]);
        assert_eq!((trace.request(4), trace.moment(4, 1.0)), (None, None));
    }

    #[test]
    fn parts_follow_each_other_and_each_begins_at_once() {
        let request = |user_id| Request::alone(Endpoint::Grab, user_id, 1, 1);
        let requests: Vec<_> =
            (0..10).map(|n| (Timestamp::from_millis(60_000 * n), request(n.cast_unsigned()))).collect();
        let trace = Trace::of("x.csv".into(), &requests, Some(60.0));
        assert_eq!(trace.length(), Some(Duration::from_secs(9)));
        let parts: Vec<Trace> = (0..3).map(|index| trace.part(index, 3)).collect();
        let users =
            |trace: &Trace| (0..trace.len()).map(|n| trace.request(n).unwrap().user_id).collect::<Vec<_>>();
        assert_eq!(
            parts.iter().map(users).collect::<Vec<_>>(),
            [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8, 9]]
        );
        assert_eq!(parts[2].moment(0, 1.0), Some(Duration::ZERO));
        assert_eq!((parts[2].moment(3, 1.0), parts[2].moment(4, 1.0)), (Some(Duration::from_secs(3)), None));
        assert!(trace.part(0, 11).is_empty() && trace.part(0, 11).length().is_none());
    }

    #[test]
    fn looks_grab_nothing() {
        let looks =
            read("7,1,5,2026-11-22T10:00:03.000Z\n8,1,5,2026-11-22T10:00:00.000Z\n").unwrap().looks(5);
        let asked: Vec<_> =
            (0..2).map(|n| looks.request(n).unwrap()).map(|r| (r.endpoint, r.user_id)).collect();
        assert_eq!(asked, [(Endpoint::Stock, 8), (Endpoint::UserCoupons, 7)]);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        let good = "1,1,1,2026-11-22T10:00:00Z\n";
        for (line, named) in [
            ("1,1,1", "four fields"),
            ("0,1,1,2026-11-22T10:00:00Z", "user_id"),
            ("100001,1,1,2026-11-22T10:00:00Z", "user_id"),
            ("1,2,1,2026-11-22T10:00:00Z", "belongs to room 1"),
            ("1,1,1,yesterday", "grab_time"),
        ] {
            let error = format!("{:#}", read(&format!("{good}{line}")).unwrap_err());
            assert!(error.contains("x.csv, line 3") && error.contains(named), "{error}");
        }
        assert!(read("").is_err());
        assert!(Trace::read("user,room\n", "x.csv".into(), &CatalogueSpec::default()).is_err());
    }
}
