//! A contestant whose layout was changed in the middle of its turns.

use std::io;

use coupon_measure::Table;

use super::text::Page;
use crate::growth::{HEADS, summary};
use crate::model::Contestant;

/// The changes of its layout, or why there were none.
pub(super) fn print(contestant: &Contestant, page: &mut Page<'_>) -> io::Result<()> {
    if let Some(why) = &contestant.unchanged {
        return page.after("  layout  ", &format!("left alone: {why}"), 10);
    }
    let Some(summary) = summary(contestant) else { return Ok(()) };
    for (word, fact) in &summary.facts {
        page.after(&format!("  {word:<7} "), fact, 10)?;
    }
    if let Some(wrong) = &summary.wrong {
        page.alarm(2, "NOT AS PREDICTED", &format!(": {wrong}"), 4)?;
    }
    let mut table = Table::new(HEADS);
    summary.rows.into_iter().for_each(|row| table.row(row));
    page.table(&table)
}
