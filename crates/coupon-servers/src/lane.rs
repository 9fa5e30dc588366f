//! A lane, as statements name it.

use std::fmt;

use coupon_core::{LaneKey, Lanes, ShardId, UserId};

/// The word that goes to an engine with a question that it plans: to answer without the shards that are missing, and to name
/// them. By default a reader waits longer (`reads.timeout_ms`).
const PLANNED: &str = "/*vt+ SCATTER_ERRORS_AS_WARNINGS=1 QUERY_TIMEOUT_MS=3000 */";

/// The lane whose rows statements are about. Each statement on a small table names it: an engine has several lanes in one
/// database, while a shard that is run by hand is one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    key: LaneKey,
    /// All lanes, of an engine's.
    among: Option<Lanes>,
}

impl fmt::Display for Lane {
    /// Writes the condition on a row: `lane = X'00'`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lane = {}", self.value())
    }
}

impl Lane {
    /// The only lane of a database.
    pub const ONLY: Self = Self { key: LaneKey::ONLY, among: None };

    /// A lane among those of an engine; `None` where there is no such lane.
    #[must_use]
    pub fn among(lanes: Lanes, lane: ShardId) -> Option<Self> {
        let key = lanes.key(lane).filter(|_| lane.number() < lanes.count().get())?;
        Some(Self { key, among: Some(lanes) })
    }

    /// True of an engine's.
    #[must_use]
    pub const fn is_engines(self) -> bool {
        self.among.is_some()
    }

    /// Its key.
    #[must_use]
    pub const fn key(self) -> LaneKey {
        self.key
    }

    /// True of a row of this lane's, where an engine's shard has others too.
    #[must_use]
    pub fn has(self, user: UserId) -> bool {
        self.among.is_none_or(|lanes| lanes.key(lanes.of_user(user)) == Some(self.key))
    }

    /// Its value in a row.
    pub(super) fn value(self) -> String {
        format!("X'{}'", self.key)
    }

    /// A statement, with the lane's name behind its first word if an engine's lanes may send the same text.
    ///
    /// An engine remembers how it sends a text, for all lanes of a shard. While it switches shards, a text that another lane has
    /// sent before may so go to the other lane's new shard.
    #[must_use]
    pub fn named(self, sql: String) -> String {
        if self.is_engines() { behind_first_word(sql, &format!("/* lane {} */", self.key)) } else { sql }
    }

    /// A statement that has conditions, about the rows of this lane alone.
    pub(super) fn only(self, sql: &str) -> String {
        self.named(sql.replacen(" WHERE ", &format!(" WHERE {self} AND "), 1))
    }

    /// The condition on rows of this lane that have one of these keys, each the values of the columns with commas between: in the
    /// order of the table's own key, which does not begin with the lane where there is one lane.
    pub(super) fn keys(self, columns: &str, keys: impl IntoIterator<Item = String>) -> String {
        let keys = keys.into_iter();
        if self.is_engines() {
            let value = self.value();
            let listed: Vec<String> = keys.map(|key| format!("({value},{key})")).collect();
            return format!("(lane, {columns}) IN ({})", listed.join(","));
        }
        let listed: Vec<String> = keys.map(|key| format!("({key})")).collect();
        format!("{self} AND ({columns}) IN ({})", listed.join(","))
    }

    /// A statement that inserts one row, of this lane.
    pub(super) fn insert(self, sql: &str) -> String {
        let values = format!(" VALUES ({}, ", self.value());
        self.named(sql.replacen(" (", " (lane, ", 1).replacen(" VALUES (", &values, 1))
    }
}

/// A statement with its numbers in the place of parameters: an engine prepares none at a lane's address whose LIMIT is one.
pub(super) fn written(sql: &str, numbers: [i64; 2]) -> String {
    numbers.iter().fold(sql.to_owned(), |sql, number| sql.replacen('?', &number.to_string(), 1))
}

/// A statement with a comment where an engine keeps it.
fn behind_first_word(mut sql: String, comment: &str) -> String {
    if let Some(end) = sql.find(' ') {
        sql.insert_str(end, &format!(" {comment}"));
    }
    sql
}

/// The way that a question takes to the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryRoute {
    /// By a lane's address, or to the only lane's database.
    Lane(Lane),
    /// By an engine's plan, to every shard.
    Planned,
}

impl QueryRoute {
    /// True of the way to a lane of an engine.
    #[must_use]
    pub const fn is_engines_lane(self) -> bool {
        matches!(self, Self::Lane(lane) if lane.is_engines())
    }

    /// A statement, with what tells its text from that of the same statement on another way.
    #[must_use]
    pub fn named(self, sql: String) -> String {
        match self {
            Self::Lane(lane) => lane.named(sql),
            Self::Planned => behind_first_word(sql, PLANNED),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use coupon_core::schema::Dialect;
    use coupon_store::statements;

    use super::*;

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

    #[test]
    fn an_engines_lane_is_named_behind_the_first_word_and_no_other_is() {
        let lanes = Lanes::new(NonZeroU16::new(8).unwrap()).unwrap();
        let third = Lane::among(lanes, ShardId::new(3)).unwrap();
        assert_eq!(
            third.only(statements::LET_GO),
            "DELETE /* lane 60 */ FROM holds WHERE lane = X'60' AND hold_until = ? AND result_id = ?"
        );
        assert!(third.insert(&statements::park(Dialect::MySql)).starts_with("INSERT /* lane 60 */ INTO "));
        assert_eq!(Lane::ONLY.named("COMMIT WORK".to_owned()), "COMMIT WORK");
        let ways = [QueryRoute::Lane(Lane::ONLY), QueryRoute::Lane(third), QueryRoute::Planned];
        assert_eq!(
            ways.map(|way| way.named("SELECT 1".to_owned())),
            [
                "SELECT 1".to_owned(),
                "SELECT /* lane 60 */ 1".to_owned(),
                "SELECT /*vt+ SCATTER_ERRORS_AS_WARNINGS=1 QUERY_TIMEOUT_MS=3000 */ 1".to_owned()
            ]
        );
        assert_eq!(Lane::among(lanes, ShardId::new(8)), None);
    }

    #[test]
    fn rows_are_named_by_the_whole_of_their_key() {
        let lanes = Lanes::new(NonZeroU16::new(2).unwrap()).unwrap();
        let keys = || ["1,2".to_owned(), "3,4".to_owned()];
        assert_eq!(Lane::ONLY.keys("a, b", keys()), "lane = X'00' AND (a, b) IN ((1,2),(3,4))");
        let second = Lane::among(lanes, ShardId::new(1)).unwrap();
        assert_eq!(second.keys("a, b", keys()), "(lane, a, b) IN ((X'80',1,2),(X'80',3,4))");
    }

    #[test]
    fn an_engines_lane_has_its_own_users_alone() {
        let lanes = Lanes::new(NonZeroU16::new(8).unwrap()).unwrap();
        for user in (1..100).map(|user| UserId::new(user).unwrap()) {
            let having = (0..8).filter(|lane| Lane::among(lanes, ShardId::new(*lane)).unwrap().has(user));
            assert_eq!(having.collect::<Vec<_>>(), [lanes.of_user(user).number()]);
            assert!(Lane::ONLY.has(user));
        }
    }
}
