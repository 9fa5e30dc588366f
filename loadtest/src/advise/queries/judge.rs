//! The shards that a statement visits, by the key that its tables are sharded by.

use std::collections::BTreeSet;

use serde::Serialize;

use super::column::{StatementColumn, Unjudged};
use super::conditions::Bound;
use super::statement::{Statement, StatementTable};

/// The shards that a statement visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Visits {
    /// The statement has no table with that key.
    Elsewhere,
    /// One.
    One,
    /// One for each value of a list, whatever the number of shards.
    List,
    /// Those of neighbouring values: some where keys are kept in ranges, all where they are hashed.
    Range,
    /// Every one.
    All,
    /// It cannot be said.
    Unknown(Unjudged),
}

/// The shards that a statement visits where these tables are sharded by that key: columns in small letters.
pub(super) fn visits(statement: &Statement, key: &[String], sharded: &BTreeSet<String>) -> Visits {
    let readable =
        statement.doubt != Some(Unjudged::Unreadable) && statement.doubt != Some(Unjudged::TooLong);
    if readable && !statement.named.iter().any(|name| sharded.contains(name)) {
        return Visits::Elsewhere;
    }
    if let Some(doubt) = statement.doubt {
        return Visits::Unknown(doubt);
    }
    let tables: Vec<&StatementTable> =
        statement.tables.iter().filter(|table| sharded.contains(&table.name)).collect();
    let of_key = |column: &StatementColumn| key.contains(&column.name);
    if statement.tables.len() > 1
        && statement.columns.iter().any(|column| of_key(column) && column.table.is_none())
    {
        return Visits::Unknown(Unjudged::UnknownTable);
    }
    if statement.assigned.iter().any(of_key) {
        return Visits::Unknown(Unjudged::ChangesKey);
    }
    let worst = tables.iter().map(|table| of_table(statement, key, table)).max().unwrap_or(Visits::Elsewhere);
    let together = tables
        .windows(2)
        .all(|pair| matches!(pair, [one, other] if are_together(statement, key, one, other)));
    if worst == Visits::One && !together { Visits::List } else { worst }
}

/// True for a column of that table.
fn is_of(column: &StatementColumn, table: &StatementTable, name: &str) -> bool {
    column.name == name && column.table.as_ref().is_none_or(|qualifier| *qualifier == table.alias)
}

/// True when the rows of two tables that meet have the same key.
fn are_together(statement: &Statement, key: &[String], one: &StatementTable, other: &StatementTable) -> bool {
    key.iter().all(|name| {
        statement.conditions.agree(|column| is_of(column, one, name), |column| is_of(column, other, name))
    })
}

fn of_table(statement: &Statement, key: &[String], table: &StatementTable) -> Visits {
    let mut worst = Visits::One;
    for (at, name) in key.iter().enumerate() {
        let of_column = |column: &StatementColumn| is_of(column, table, name);
        worst = match statement.conditions.bound(of_column) {
            Some(Bound::Equal) => worst,
            Some(Bound::List) => worst.max(Visits::List),
            found => {
                if let Some(doubt) = statement.conditions.doubt(of_column).filter(|_| found.is_none()) {
                    return Visits::Unknown(doubt);
                }
                if statement.inserts {
                    return Visits::Unknown(Unjudged::NoColumns);
                }
                // The first columns of a key decide its neighbours.
                return if at > 0 || found.is_some() { Visits::Range } else { Visits::All };
            }
        };
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::super::shape::tests::shapes;
    use super::super::statement::read;
    use super::*;

    const ORDERS: [&str; 2] = ["orders", "items"];

    fn judged(sql: &str, key: &str) -> Visits {
        let [shape] = &*shapes(sql) else { panic!("{sql}") };
        let key: Vec<String> = key.split(',').map(str::to_owned).collect();
        let sharded = ORDERS.into_iter().map(str::to_owned).collect();
        let mut statement = read(shape).unwrap();
        statement.unqualify(&BTreeSet::new());
        visits(&statement, &key, &sharded)
    }

    fn all(expected: Visits, key: &str, statements: &[&str]) {
        for sql in statements {
            assert_eq!(judged(sql, key), expected, "{sql} by {key}");
        }
    }

    #[test]
    fn one_value_of_the_key_is_one_shard() {
        all(
            Visits::One,
            "user_id",
            &[
                "SELECT * FROM orders WHERE user_id = 5",
                "SELECT * FROM shop.orders o WHERE 5 = o.User_ID AND o.paid > 1 ORDER BY o.id LIMIT 10",
                "SELECT * FROM `orders` WHERE (`user_id` = @user) AND (paid = 1 OR sent = 1)",
                "SELECT * FROM orders WHERE user_id IN (5)",
                "SELECT * FROM orders WHERE user_id <=> 5 FOR UPDATE",
                "SELECT * FROM orders WHERE user_id = 5 AND DATE(paid) = CURDATE()",
                "UPDATE orders SET paid = 1 WHERE user_id = 5 AND id = 7",
                "DELETE FROM orders WHERE user_id = 5 LIMIT 1",
                "INSERT INTO orders (id, user_id) VALUES (1, 5)",
                "INSERT IGNORE INTO orders SET id = 1, user_id = 5",
                "REPLACE INTO orders (id, user_id) VALUES (1, 5)",
                "INSERT INTO orders (id, user_id) VALUES (1, 5) ON DUPLICATE KEY UPDATE id = id + 1",
            ],
        );
        all(
            Visits::One,
            "room_id,user_id",
            &[
                "SELECT * FROM orders WHERE user_id = 5 AND room_id = 7",
                "SELECT * FROM orders WHERE (user_id, room_id) = (5, 7)",
            ],
        );
    }

    #[test]
    fn lists_and_rows_are_some_shards() {
        all(
            Visits::List,
            "user_id",
            &[
                "SELECT * FROM orders WHERE user_id IN (5, 6, 7)",
                "SELECT * FROM orders WHERE (room_id, user_id) IN ((1, 5), (2, 6))",
                "INSERT INTO orders (id, user_id) VALUES (1, 5), (2, 6)",
                "SELECT * FROM orders o, items i WHERE o.user_id = 5 AND i.user_id = 6",
            ],
        );
    }

    #[test]
    fn neighbours_are_a_range() {
        all(
            Visits::Range,
            "user_id",
            &[
                "SELECT * FROM orders WHERE user_id BETWEEN 5 AND 6",
                "SELECT * FROM orders WHERE user_id > 5 ORDER BY user_id LIMIT 100",
            ],
        );
        all(
            Visits::Range,
            "room_id,user_id",
            &[
                "SELECT * FROM orders WHERE room_id = 5",
                "SELECT * FROM orders WHERE room_id = 5 AND user_id > 6",
            ],
        );
    }

    #[test]
    fn what_does_not_limit_the_key_is_all_shards() {
        all(
            Visits::All,
            "user_id",
            &[
                "SELECT COUNT(*) FROM orders",
                "SELECT * FROM orders WHERE room_id = 5",
                "SELECT * FROM orders WHERE user_id <> 5 AND user_id IS NOT NULL AND user_id NOT IN (1, 2)",
                "SELECT * FROM orders WHERE room_id = 5 OR paid = 1",
                "UPDATE orders SET paid = 1 WHERE id = 5",
                "SELECT * FROM orders o JOIN items i ON i.order_id = o.id WHERE o.user_id = 5",
            ],
        );
        all(Visits::All, "room_id,user_id", &["SELECT * FROM orders WHERE user_id = 5"]);
    }

    #[test]
    fn tables_that_are_joined_by_the_key_go_together() {
        all(
            Visits::One,
            "user_id",
            &[
                "SELECT * FROM orders o JOIN items i ON i.user_id = o.user_id WHERE o.user_id = 5",
                "SELECT * FROM orders o JOIN items i USING (user_id) WHERE i.user_id = 5",
                "SELECT * FROM orders o LEFT JOIN items i ON i.user_id = o.user_id AND i.id = 7 WHERE o.user_id = 5",
                "SELECT * FROM orders o JOIN rooms r ON r.id = o.room_id WHERE o.user_id = 5",
                // Both follow a third column, of the same table or of another.
                "SELECT * FROM orders o LEFT JOIN items i ON i.user_id = o.user_id \
                 LEFT JOIN items j ON j.user_id = o.user_id WHERE o.user_id = 5",
                "SELECT * FROM users u LEFT JOIN orders o ON o.user_id = u.id \
                 LEFT JOIN items i ON i.user_id = u.id WHERE u.id = 5",
            ],
        );
        // What an outer join asks of its second table says nothing of the first one's rows.
        all(
            Visits::All,
            "user_id",
            &[
                "SELECT * FROM orders o LEFT JOIN items i ON i.user_id = o.user_id AND o.user_id = 5",
                "SELECT * FROM orders o LEFT JOIN items i ON i.user_id = o.user_id AND i.user_id = 5",
            ],
        );
    }

    #[test]
    fn what_cannot_be_said_is_not_guessed() {
        for (doubt, sql) in [
            (Unjudged::Or, "SELECT * FROM orders WHERE user_id = 5 OR user_id = 6"),
            (Unjudged::Or, "SELECT * FROM orders WHERE NOT (user_id = 5)"),
            (Unjudged::Function, "SELECT * FROM orders WHERE user_id % 4 = 1"),
            (Unjudged::Function, "SELECT * FROM orders WHERE LOWER(user_id) = 'a'"),
            (Unjudged::Function, "SELECT * FROM orders WHERE user_id = room_id + 1"),
            (Unjudged::Pattern, "SELECT * FROM orders WHERE user_id LIKE 'a%'"),
            (Unjudged::Subquery, "SELECT * FROM orders WHERE user_id IN (SELECT id FROM users)"),
            (
                Unjudged::Subquery,
                "SELECT * FROM orders WHERE user_id = 5 UNION SELECT * FROM orders WHERE user_id = 6",
            ),
            (Unjudged::Subquery, "INSERT INTO orders (id, user_id) SELECT id, user_id FROM old"),
            (Unjudged::Subquery, "SELECT EXISTS(SELECT * FROM orders WHERE user_id = 5)"),
            (Unjudged::Subquery, "SET @orders = (SELECT COUNT(*) FROM orders WHERE user_id = 5)"),
            (Unjudged::Join, "SELECT * FROM (SELECT * FROM orders) x"),
            (Unjudged::Join, "SELECT * FROM orders o RIGHT JOIN items i ON i.user_id = o.user_id"),
            (
                Unjudged::UnknownTable,
                "SELECT * FROM orders o JOIN rooms r ON r.id = o.room_id WHERE user_id = 5",
            ),
            (Unjudged::ChangesKey, "UPDATE orders SET user_id = 6 WHERE user_id = 5"),
            (Unjudged::NoColumns, "INSERT INTO orders VALUES (1, 5)"),
            (Unjudged::NoColumns, "INSERT INTO orders (id) VALUES (1)"),
            (Unjudged::Unreadable, "SELECT * FROM orders WHERE user_id = = 5"),
            (Unjudged::Unreadable, "not SQL at all"),
        ] {
            assert_eq!(judged(sql, "user_id"), Visits::Unknown(doubt), "{sql}");
        }
    }

    #[test]
    fn other_tables_are_elsewhere() {
        all(Visits::Elsewhere, "user_id", &["SELECT * FROM rooms WHERE user_id = 5"]);
        for sql in ["SET NAMES utf8mb4", "COMMIT", "SELECT 1", "SHOW TABLES"] {
            assert!(read(&shapes(sql)[0]).is_none(), "{sql}");
        }
    }
}
