//! What an engine shards by, as `schema/engine/vschema.json` has it: made where it is missing, and held against what is there.

use std::collections::BTreeMap;

use anyhow::Context as _;
use coupon_core::schema::VSCHEMA;
use serde::Deserialize;

/// The column that a table is sharded by, and the engine's function of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharded {
    /// The column.
    pub column: String,
    /// The name under which the keyspace has the function.
    pub vindex: String,
    /// The engine's name for the function.
    pub function: String,
}

#[derive(Deserialize)]
struct File {
    vindexes: BTreeMap<String, Vindex>,
    tables: BTreeMap<String, Table>,
}

#[derive(Deserialize)]
struct Vindex {
    #[serde(rename = "type")]
    function: String,
}

#[derive(Deserialize)]
struct Table {
    column_vindexes: Vec<OfColumn>,
}

#[derive(Deserialize)]
struct OfColumn {
    column: String,
    name: String,
}

/// What each table is to be sharded by.
///
/// # Errors
/// When the file in this program makes no sense.
pub fn wanted() -> anyhow::Result<BTreeMap<String, Sharded>> {
    let file: File = serde_json::from_str(VSCHEMA)?;
    let sharded = |(table, of): (String, Table)| {
        let by = of.column_vindexes.into_iter().next().with_context(|| format!("{table}: by no column"))?;
        let vindex =
            file.vindexes.get(&by.name).with_context(|| format!("{table}: no vindex {}", by.name))?;
        Ok((table, Sharded { column: by.column, vindex: by.name, function: vindex.function.clone() }))
    };
    file.tables.into_iter().map(sharded).collect()
}

/// The statements that make it in a keyspace that has nothing of it.
#[must_use]
pub fn made_by(keyspace: &str, wanted: &BTreeMap<String, Sharded>) -> Vec<String> {
    let functions: BTreeMap<&str, &str> = wanted.values().map(|of| (&*of.vindex, &*of.function)).collect();
    let vindexes = functions.into_iter().map(|(vindex, function)| {
        format!("ALTER VSCHEMA CREATE VINDEX {keyspace}.{vindex} USING `{function}`")
    });
    let tables = wanted.iter().map(|(table, Sharded { column, vindex, .. })| {
        format!("ALTER VSCHEMA ON {keyspace}.{table} ADD VINDEX {vindex} ({column})")
    });
    vindexes.chain(tables).collect()
}

/// In words, what of a keyspace is otherwise: a table that it lacks, that it has besides, or that is sharded by something else.
/// Rows would be where no question leads, and the next change of the engine's shards would lose some.
#[must_use]
pub fn differences(
    wanted: &BTreeMap<String, Sharded>,
    there: &BTreeMap<String, Vec<Sharded>>,
) -> Vec<String> {
    let shown = |of: &Sharded| format!("{}({})", of.function, of.column);
    let differs = |(table, of): (&String, &Sharded)| match there.get(table).map(Vec::as_slice) {
        None | Some([]) => Some(format!("table {table} is not sharded, and is to be by {}", shown(of))),
        Some([by]) if (&by.column, &by.function) == (&of.column, &of.function) => None,
        Some(by) => {
            let by: Vec<String> = by.iter().map(shown).collect();
            Some(format!("table {table} is sharded by {}, and is to be by {}", by.join(", "), shown(of)))
        }
    };
    let besides = there.keys().filter(|table| !wanted.contains_key(*table));
    let besides = besides.map(|table| format!("table {table} is none of this system's"));
    wanted.iter().filter_map(differs).chain(besides).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type There = BTreeMap<String, Vec<Sharded>>;

    fn there() -> There {
        wanted().unwrap().into_iter().map(|(table, of)| (table, vec![of])).collect()
    }

    #[test]
    fn users_and_lanes_are_what_is_sharded_by() {
        let wanted = wanted().unwrap();
        let by = |table: &str| (&*wanted[table].column, &*wanted[table].function);
        assert_eq!(by("coupon_results"), ("user_id", "xxhash"));
        assert_eq!(by("shard_state"), ("lane", "binary"));
        let made = made_by("results", &wanted);
        assert_eq!(made[0], "ALTER VSCHEMA CREATE VINDEX results.by_lane USING `binary`");
        assert!(
            made.contains(&"ALTER VSCHEMA ON results.coupon_results ADD VINDEX by_user (user_id)".to_owned())
        );
        assert_eq!(made.len(), wanted.len() + 2);
    }

    #[test]
    fn what_differs_is_named() {
        let wanted = wanted().unwrap();
        assert_eq!(differences(&wanted, &there()), [""; 0]);
        let changed = |change: fn(&mut There)| {
            let mut there = there();
            change(&mut there);
            differences(&wanted, &there)
        };
        let lacks = changed(|there| drop(there.remove("outbox")));
        assert_eq!(lacks, ["table outbox is not sharded, and is to be by binary(lane)"]);
        let other =
            changed(|there| "hash".clone_into(&mut there.get_mut("coupon_results").unwrap()[0].function));
        assert_eq!(
            other,
            ["table coupon_results is sharded by hash(user_id), and is to be by xxhash(user_id)"]
        );
        let second = changed(|there| {
            let by = there.get_mut("holds").unwrap();
            let more = Sharded { column: "result_id".to_owned(), ..by[0].clone() };
            by.push(more);
        });
        assert_eq!(second.len(), 1, "{second:?}");
        let besides = changed(|there| drop(there.insert("orders".to_owned(), Vec::new())));
        assert_eq!(besides, ["table orders is none of this system's"]);
        // The name under which the keyspace has a function is its own affair.
        let renamed =
            changed(|there| "u".clone_into(&mut there.get_mut("coupon_results").unwrap()[0].vindex));
        assert_eq!(renamed, [""; 0]);
    }
}
