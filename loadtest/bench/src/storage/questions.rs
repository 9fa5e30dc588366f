//! Questions about results: as a path of the API, and as the statements that the service sends its shards for it.

use anyhow::Result;
use coupon_core::schema::Dialect;
use coupon_core::{Plan, ResultQuery, RoomId, ShardId, TableId, TimeRange, Timestamp, UserId};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_store::statements::{self, Filter, Numbers};

use super::super::context::SHARDS;
use super::raw::{Question, Raw};

/// Rows of a page, and one more to see if there are more.
const LIMIT: i64 = 101;
const HOURS: i64 = 24;
const HOUR_MS: i64 = 3_600_000;
/// The question.
#[derive(Clone, Copy)]
pub(super) enum StorageQuestion {
    User,
    Room,
    Recent,
    Global,
}

/// The path that asks it, and the same as a query.
pub(super) fn of(ask: StorageQuestion, number: u64) -> Result<(String, ResultQuery)> {
    let catalogue = CatalogueSpec::default();
    Ok(match ask {
        StorageQuestion::User => {
            let user = number % catalogue.users + 1;
            (format!("/api/user/{user}/coupons"), ResultQuery::of_user(UserId::new(user)?))
        }
        StorageQuestion::Room => {
            let room = number % catalogue.rooms + 1;
            (format!("/api/room/{room}/orders"), ResultQuery::of_room(RoomId::new(room)?))
        }
        StorageQuestion::Recent => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
            let now = Timestamp::from_millis(i64::try_from(now)?);
            let window = TimeRange::new(now.plus_millis(-HOURS * HOUR_MS), now);
            (
                format!("/api/orders/recent?hours={HOURS}"),
                ResultQuery { time: Some(window), ..ResultQuery::everything() },
            )
        }
        StorageQuestion::Global => ("/api/statistics/global".to_owned(), ResultQuery::everything()),
    })
}

/// The tables of results of each shard.
pub(super) fn tables(raw: &mut Raw) -> Result<Vec<Vec<TableId>>> {
    let listed = raw.query(&format!("SHOW TABLES LIKE '{}%'", TableId::PREFIX))?;
    let name = |mut row: mysql_async::Row| row.take::<String, _>(0);
    Ok(listed
        .into_iter()
        .map(|rows| rows.into_iter().filter_map(name).filter_map(|name| TableId::parse(&name)).collect())
        .collect())
}

/// The statement for each shard of a plan: the one that the service sends, for the one table that it visits there, or
/// for the first of them.
pub(super) fn questions(
    plan: &Plan,
    ask: StorageQuestion,
    query: &ResultQuery,
    tables: &[Vec<TableId>],
) -> Vec<Option<Question>> {
    let shards = plan.shards(SHARDS.get());
    let there = |(shard, tables): (u16, &Vec<TableId>)| {
        let shard = ShardId::new(shard);
        let wanted = |table: &&TableId| match plan {
            Plan::One(placement) => (placement.shard, placement.table) == (shard, **table),
            Plan::Some(placements) => placements.iter().any(|at| (at.shard, at.table) == (shard, **table)),
            Plan::All => true,
        };
        let tables: Vec<TableId> =
            tables.iter().filter(|_| shards.contains(&shard)).filter(wanted).copied().collect();
        question(ask, query, &tables)
    };
    (0..).zip(tables).map(there).collect()
}

fn question(ask: StorageQuestion, query: &ResultQuery, tables: &[TableId]) -> Option<Question> {
    let filter = Filter::of(query);
    let of = |table: &TableId| match ask {
        StorageQuestion::Global => (statements::totals(Dialect::MySql, *table), Vec::new()),
        StorageQuestion::User | StorageQuestion::Room | StorageQuestion::Recent => (
            statements::page(Dialect::MySql, *table, &filter, LIMIT, Numbers::Bound),
            filter.numbers().chain([LIMIT]).collect(),
        ),
    };
    let (sql, numbers): (Vec<String>, Vec<Vec<i64>>) = tables.iter().map(of).unzip();
    let sql = match sql.as_slice() {
        [] => return None,
        [one] => one.clone(),
        several => several.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" UNION ALL "),
    };
    Some(Question { sql, numbers: numbers.concat() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_one_shard_asks_no_other() {
        let table = TableId::Single;
        let query = ResultQuery::of_user(UserId::new(7).unwrap());
        let plan = Plan::One(coupon_core::Placement::new(ShardId::new(2), table));
        let asked = questions(&plan, StorageQuestion::User, &query, &vec![vec![table]; 4]);
        let sql: Vec<_> =
            asked.iter().map(|question| question.as_ref().map(|question| &*question.sql)).collect();
        let columns = statements::columns(Dialect::MySql);
        let wanted =
            format!("SELECT {columns} FROM coupon_results WHERE user_id = ? ORDER BY result_id DESC LIMIT ?");
        assert_eq!(sql, [None, None, Some(&*wanted), None]);
        assert_eq!(asked[2].as_ref().unwrap().numbers, [7, LIMIT]);
    }
}
