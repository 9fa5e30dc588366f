//! The description of a recording in words.

use coupon_cli::plain;
use coupon_measure::format::{count, counted, percent};

use super::Recording;

impl Recording {
    /// The recording in numbers, and everything that is not as in the file: a line each.
    #[must_use]
    pub fn described(&self) -> Vec<String> {
        let window = self.window();
        let (from, to) = (window.start, window.end.plus_millis(-1));
        let when = match self.moment() {
            _ if self.days_only() => format!("{} to {}", from.day(), to.day()),
            Some(moment) => format!("all at {moment}"),
            None => format!("{from} to {to}"),
        };
        let grabs = self.rows().len() as u64;
        let asked = match self.asked().len() as u64 {
            0 => String::new(),
            1 => " and 1 query".to_owned(),
            several => format!(" and {} queries", count(several)),
        };
        let mut lines = vec![format!(
            "{}: {}{asked} by {} of {} in {}, {when}",
            plain::line(&self.file),
            counted(grabs, "grab"),
            counted(self.users(), "user"),
            counted(self.coupons(), "coupon"),
            counted(self.rooms.labels.len() as u64, "room"),
        )];
        lines.extend(self.notes.iter().cloned());
        if let Some(part) = self.sampled {
            lines.push(format!(
                "this is a sample, {part} of its users and coupons: rows and requests are as many fewer, and shares are \
                 estimates"
            ));
        }
        if let Some((label, most)) = self.busiest_room() {
            lines.push(format!(
                "the busiest room, {}, has {} of the grabs",
                plain::line(label),
                percent(most as f64 / grabs as f64)
            ));
        }
        if self.left_out.lines() > 0 {
            lines.push(self.left_out.to_string());
        }
        lines.extend(self.changes());
        lines
    }

    /// The changes from the file.
    fn changes(&self) -> Vec<String> {
        let mut lines = self.ids_changed();
        let grabs = self.rows().len() as u64;
        for (spread, known, unit) in [(self.spread.days, "days", "day"), (self.spread.hours, "hours", "hour")]
        {
            if spread > 0 && spread == grabs {
                lines.push(format!(
                    "only the {known} are known: grabs are spread evenly over theirs, by the seed"
                ));
            } else if spread > 0 {
                lines.push(format!(
                    "of {} of {} only the {unit} is known: these are spread evenly over it, by the seed",
                    count(spread),
                    counted(grabs, "grab")
                ));
            }
        }
        lines.extend(self.gap());
        if self.repeated > 0 {
            lines.push(format!(
                "{} repeat a user and a coupon: the gate answers them `duplicate`, or with the first one's result while \
                 that is on its way",
                counted(self.repeated, "grab")
            ));
        }
        if self.shared_coupons > 0 {
            let coupons = match self.shared_coupons {
                1 => "1 coupon is".to_owned(),
                several => format!("{} coupons are", count(several)),
            };
            lines.push(format!("{coupons} in several rooms: each room's is a coupon of its own"));
        }
        lines
    }

    fn ids_changed(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let rooms = &self.rooms;
        if let (true, Some(first)) = (rooms.are_numbered, rooms.labels.first()) {
            lines.push(format!(
                "a service does not take all of these rooms as ids: they are numbered from 1, numbers by value before text \
                 (1 is {})",
                plain::line(first)
            ));
        }
        if self.hashed_users() > 0 {
            lines.push(format!(
                "{} a service does not take as ids: each has a fixed hash of its text instead",
                counted(self.hashed_users(), "user")
            ));
        }
        lines
    }

    /// A gap that is much of the whole.
    fn gap(&self) -> Option<String> {
        let (gap, window) = (self.widest_gap()?, self.window());
        let length = |range: coupon_core::TimeRange| range.end.millis() - range.start.millis();
        // Moments within a day were drawn where only the days are known.
        (!self.days_only() && length(gap) * 4 > length(window)).then(|| {
            let part = percent(length(gap) as f64 / length(window) as f64);
            format!("nothing came between {} and {}, which is {part} of the time", gap.start, gap.end)
        })
    }

    fn busiest_room(&self) -> Option<(&str, u64)> {
        let rooms = self.rooms.labels.iter().zip(&self.rooms.grabs);
        rooms.max_by_key(|(_, grabs)| **grabs).map(|(label, grabs)| (label.as_str(), *grabs))
    }
}
