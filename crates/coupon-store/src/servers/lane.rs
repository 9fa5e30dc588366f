//! A lane, as statements on a shard's small tables name it.

use std::fmt;

use coupon_core::LaneKey;

/// The lane whose rows statements are about. Each statement on a small table names it: an engine has several lanes in one
/// database, while a shard that is run by hand is one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lane(LaneKey);

impl fmt::Display for Lane {
    /// Writes the condition on a row: `lane = X'00'`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lane = {}", self.value())
    }
}

impl Lane {
    /// The only lane of a database.
    pub(super) const ONLY: Self = Self(LaneKey::ONLY);

    /// Its value in a row.
    pub(super) fn value(self) -> String {
        format!("X'{}'", self.0)
    }

    /// A statement that has conditions, about the rows of this lane alone.
    pub(super) fn only(self, sql: &str) -> String {
        sql.replacen(" WHERE ", &format!(" WHERE {self} AND "), 1)
    }

    /// A statement that inserts one row, of this lane.
    pub(super) fn insert(self, sql: &str) -> String {
        let values = format!(" VALUES ({}, ", self.value());
        sql.replacen(" (", " (lane, ", 1).replacen(" VALUES (", &values, 1)
    }
}

#[cfg(test)]
mod tests {
    use coupon_core::schema::Dialect;

    use super::*;
    use crate::statements;

    #[test]
    fn a_statement_that_other_databases_share_is_about_a_lane() {
        let lane = Lane::ONLY;
        assert_eq!(
            lane.only(statements::LET_GO),
            "DELETE FROM holds WHERE lane = X'00' AND hold_until = ? AND result_id = ?"
        );
        assert!(lane.only(statements::DUE).contains("FROM holds WHERE lane = X'00' AND hold_until <= ? "));
        let park = lane.insert(&statements::park(Dialect::MySql));
        assert!(park.starts_with("INSERT INTO parked_results (lane, result_id, "), "{park}");
        assert!(park.contains(" VALUES (X'00', ?, ") && park.matches('?').count() == 10, "{park}");
    }
}
