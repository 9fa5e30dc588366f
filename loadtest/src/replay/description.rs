//! The description of a recording in words.

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
        let mut lines = vec![format!(
            "{}: {} by {} of {} in {}, {when}",
            self.file,
            counted(grabs, "grab"),
            counted(self.users, "user"),
            counted(self.coupons(), "coupon"),
            counted(self.rooms.labels.len() as u64, "room"),
        )];
        if let Some((label, most)) = self.busiest_room() {
            lines.push(format!(
                "the busiest room, {label}, has {} of the grabs",
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
        let mut lines = Vec::new();
        let grabs = self.rows().len() as u64;
        if self.spread > 0 && self.spread == grabs {
            lines
                .push("only the days are known: grabs are spread evenly over theirs, by the seed".to_owned());
        } else if self.spread > 0 {
            lines.push(format!(
                "of {} of {} only the day is known: these are spread evenly over it, by the seed",
                count(self.spread),
                counted(grabs, "grab")
            ));
        }
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

    fn busiest_room(&self) -> Option<(&str, u64)> {
        let rooms = self.rooms.labels.iter().zip(&self.rooms.grabs);
        rooms.max_by_key(|(_, grabs)| **grabs).map(|(label, grabs)| (label.as_str(), *grabs))
    }
}
