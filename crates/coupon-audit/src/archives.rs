//! Totals that fell with results that were archived: main's record of changes names each such coupon, so that an operator
//! sees why.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use super::books::Line;

/// The coupons that the record of changes names an archive of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Archives {
    /// The last line of the stock log that is older than the first archive which the record names; none where it names none.
    from: Option<i64>,
    coupons: BTreeSet<i64>,
}

impl Archives {
    /// The name under which main's label has that line.
    pub(super) const FROM: &str = "archives_named_from";

    /// The query for the coupons, on any kind of database.
    pub(super) const SELECT: &str =
        "SELECT coupon_id FROM catalogue_changes WHERE operator = 'archive' AND coupon_id IS NOT NULL";

    /// What main says.
    ///
    /// # Errors
    /// When what its label says is no number.
    pub(super) fn of(from: Option<&str>, coupons: impl IntoIterator<Item = i64>) -> Result<Self> {
        let number = |said: &str| {
            said.parse()
                .with_context(|| format!("main's label says {} {said:?}, which is no number", Self::FROM))
        };
        Ok(Self { from: from.map(number).transpose()?, coupons: coupons.into_iter().collect() })
    }

    /// The fault of a coupon's lines of which one lowers the total by an archive that the record does not name.
    pub(super) fn unnamed(&self, lines: &[Line]) -> Option<String> {
        let from = self.from?;
        let line = lines.iter().find(|line| line.id > from && line.archives())?;
        (!self.coupons.contains(&line.coupon)).then(|| {
            format!(
                "line {} of the stock log lowers its total by results that were archived, and the record of changes names no \
                 archive of it",
                line.id
            )
        })
    }
}
