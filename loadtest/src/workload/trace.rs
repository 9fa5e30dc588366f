//! Recorded grabs, to be sent again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use coupon_core::Timestamp;
use serde::Serialize;

use super::{Catalogue, Endpoint, Request};

const HEADER: &str = "user_id,room_id,coupon_id,grab_time";

/// Recorded grabs, in the order of their times. Sent again they keep the shape of what was recorded, its bursts and
/// lulls, while the rate asked for sets the pace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// Where they are from.
    pub file: String,
    /// Each with the time since the first.
    #[serde(skip)]
    grabs: Arc<[(Duration, Request)]>,
}

impl Trace {
    /// Reads `user_id,room_id,coupon_id,grab_time` lines under that header; times are RFC 3339.
    ///
    /// # Errors
    /// Names the line and what is wrong with it, also when an id is not one of the catalogue.
    pub fn read(text: &str, file: String, catalogue: &Catalogue) -> anyhow::Result<Self> {
        let mut lines = text.lines().enumerate();
        let header = lines.next().map(|(_, line)| line.trim());
        ensure!(header == Some(HEADER), "{file}, line 1: must be {HEADER}");
        let mut grabs = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            grabs.push(grab(line, catalogue).with_context(|| format!("{file}, line {}", number + 1))?);
        }
        grabs.sort_by_key(|(time, _)| *time);
        let first =
            grabs.first().map(|(time, _)| time.millis()).with_context(|| format!("{file} has no grabs"))?;
        let since_first = |time: Timestamp| Duration::from_millis(time.millis().abs_diff(first));
        Ok(Self {
            grabs: grabs.into_iter().map(|(time, request)| (since_first(time), request)).collect(),
            file,
        })
    }

    /// How many grabs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.grabs.len()
    }

    /// Never: a file without grabs is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.grabs.is_empty()
    }

    pub(super) fn request(&self, number: usize) -> Option<Request> {
        self.grabs.get(number).map(|(_, request)| *request)
    }

    /// When that grab is due, at so many a second on average.
    pub(super) fn moment(&self, number: usize, rate: f64) -> Option<Duration> {
        let (time, _) = self.grabs.get(number)?;
        let (last, _) = self.grabs.last()?;
        if last.is_zero() {
            return Some(Duration::ZERO);
        }
        let part = time.as_secs_f64() / last.as_secs_f64();
        Some(Duration::try_from_secs_f64(part * self.grabs.len() as f64 / rate).unwrap_or(Duration::MAX))
    }
}

fn grab(line: &str, catalogue: &Catalogue) -> anyhow::Result<(Timestamp, Request)> {
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
    Ok((time, Request { endpoint: Endpoint::Grab, user_id, coupon_id, room_id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> anyhow::Result<Trace> {
        Trace::read(&format!("{HEADER}\n{lines}"), "x.csv".into(), &Catalogue::default())
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
        assert!(Trace::read("user,room\n", "x.csv".into(), &Catalogue::default()).is_err());
    }
}
