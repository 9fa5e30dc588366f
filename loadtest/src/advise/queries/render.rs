//! The effect of keys on queries, as people read it.

use coupon_cli::plain;
use coupon_measure::Table;
use coupon_measure::format::{counted, list, percent};

use super::super::layout::{WIDTH, laid_out, table};
use super::{QueriesByKey, QueryFindings, ScatteringQuery, Unjudged, VisitCounts, Visits};

/// The most queries of a kind that are shown.
const SHOWN: usize = 8;

/// The tables, and the queries behind them.
#[must_use]
pub fn text(findings: &QueryFindings) -> String {
    let QueryFindings { file, kind, statements, shapes, others, left_out, keys } = findings;
    let mut out = format!(
        "{}: {kind}, {} on rows, in {}; {} (SET, COMMIT, …).\n",
        plain::line(file),
        counted(*statements, "statement"),
        counted(*shapes, "shape"),
        counted(*others, "other")
    );
    if *left_out > 0 {
        out.push_str(&format!(
            "Not looked at: {} of more shapes than are told apart.\n",
            counted(*left_out, "statement")
        ));
    }
    out.push_str(
        "A list visits a shard for each of its values at most. A range visits some shards where the key is kept in ranges, \
         all where it is hashed. What cannot be judged is listed, and counted nowhere else.\n\n",
    );
    out.push_str(&table(&overview(keys)));
    keys.iter().for_each(|key| out.push_str(&of_key(key)));
    laid_out(&out)
}

fn overview(keys: &[QueriesByKey]) -> Table {
    let mut table =
        Table::new(["key", "", "one shard", "lists", "ranges", "all shards", "not judged"]).right(2..7);
    for QueriesByKey { key, reads, writes, .. } in keys {
        let sum = (reads.sum() + writes.sum()).max(1) as f64;
        for (at, (kind, visited)) in [("reads", reads), ("writes", writes)].into_iter().enumerate() {
            let VisitCounts { one, lists, ranges, all, unknown } = *visited;
            let shares = [one, lists, ranges, all, unknown].map(|n| share(n as f64 / sum));
            let name = if at == 0 { plain::line(&key.to_string()).into_owned() } else { String::new() };
            table.row([name, kind.to_owned()].into_iter().chain(shares));
        }
    }
    table
}

/// A part of all statements; nothing for none, so that those that matter are seen.
fn share(part: f64) -> String {
    match part {
        _ if part <= 0.0 => "-".to_owned(),
        _ if part < 0.0005 => "< 0.1 %".to_owned(),
        _ => percent(part),
    }
}

fn of_key(found: &QueriesByKey) -> String {
    let QueriesByKey { key, tables, unseen, elsewhere, queries, .. } = found;
    let key = plain::line(&key.to_string()).into_owned();
    if tables.is_empty() {
        return format!(
            "\n{key}: no statement names {} of one table. Is it spelled so? The tables can be named with --table.\n",
            if found.key.columns().len() == 1 { "this column" } else { "these columns" }
        );
    }
    if found.reads.sum() + found.writes.sum() == 0 {
        return format!("\n{key}: {}", asked_about(tables));
    }
    let mut out =
        format!("\n{key}, of {}; {} on other tables.\n", names(tables), counted(*elsewhere, "statement"));
    if !unseen.is_empty() {
        out.push_str(&format!("  But {}", asked_about(unseen)));
    }
    let of =
        |wanted: fn(Visits) -> bool| queries.iter().filter(|query| wanted(query.visits)).collect::<Vec<_>>();
    out.push_str(&listed("scatters, to all shards", &of(|visits| visits == Visits::All)));
    out.push_str(&listed("scatters where the key is hashed", &of(|visits| visits == Visits::Range)));
    out.push_str(&listed("not judged", &of(|visits| matches!(visits, Visits::Unknown(_)))));
    if queries.is_empty() {
        out.push_str("  Every statement goes to one shard, or to one for each value of a list.\n");
    }
    out
}

/// The question about tables that no statement is on.
fn asked_about(tables: &[String]) -> String {
    let spelled = if tables.len() == 1 { "Is it" } else { "Are they" };
    format!("no statement is on {}. {spelled} spelled so?\n", names(tables))
}

fn names(tables: &[String]) -> String {
    list(&tables.iter().map(|table| plain::line(table)).collect::<Vec<_>>())
}

fn listed(title: &str, queries: &[&ScatteringQuery]) -> String {
    if queries.is_empty() {
        return String::new();
    }
    let sum = |queries: &[&ScatteringQuery]| -> f64 { queries.iter().map(|query| query.share).sum() };
    let timed: Option<f64> = queries.iter().map(|query| query.share_of_time).sum();
    let time = timed.map_or_else(String::new, |time| format!(", {} of the time", percent(time)));
    let mut out = format!("  {title}: {} of the statements{time}\n", percent(sum(queries)));
    for query in queries.iter().take(SHOWN) {
        let why = match query.visits {
            Visits::Unknown(doubt) if doubt != Unjudged::TooLong => format!("{}: ", doubt.words()),
            Visits::Unknown(doubt) => doubt.words().to_owned(),
            _ => String::new(),
        };
        out.push_str(&cut(&format!("  {:>7}  {why}{}", share(query.share), plain::line(&query.shape))));
        out.push('\n');
    }
    if let Some(rest) = queries.get(SHOWN..).filter(|rest| !rest.is_empty()) {
        out.push_str(&format!("  {:>7}  {} more\n", share(sum(rest)), counted(rest.len() as u64, "shape")));
    }
    out
}

/// The line as far as it fits.
fn cut(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SQL, findings};
    use super::*;

    #[test]
    fn each_key_is_told_with_the_queries_that_it_scatters() {
        let shown = text(&findings(SQL, &["user_id", "room_id,user_id"], &[]));
        for told in [
            "10 statements on rows, in 6 shapes; 1 other (SET",
            "scatters, to all shards: 22.2 % of the statements\n   22.2 %  SELECT * FROM orders WHERE room_id = ?\n",
            "scatters where the key is hashed: 22.2 %",
            "   11.1 %  an OR or a NOT about the key: SELECT * FROM orders WHERE room_id = ",
        ] {
            assert!(shown.contains(told), "{told}\n{shown}");
        }
    }

    #[test]
    fn a_column_that_no_statement_names_is_asked_about() {
        let shown = text(&findings(SQL, &["shop_id"], &[]));
        assert!(shown.contains("no statement names this column") && shown.contains("--table"), "{shown}");
    }

    #[test]
    fn a_table_that_no_statement_is_on_is_asked_about_and_gets_no_verdict() {
        let shown = text(&findings(SQL, &["user_id"], &["oders"]));
        assert!(shown.contains("\nuser_id: no statement is on oders. Is it spelled so?\n"), "{shown}");
        assert!(!shown.contains("Every statement"), "{shown}");
        let shown = text(&findings(SQL, &["user_id"], &["orders", "itmes"]));
        assert!(shown.contains("  But no statement is on itmes. Is it spelled so?\n"), "{shown}");
    }

    #[test]
    fn what_does_not_parse_is_listed_and_the_older_lock_does() {
        let sql = "SELEC bad; LOAD DATA INFILE 'x' INTO TABLE orders; SET x = 1; \
                   SELECT * FROM orders WHERE user_id = 1 LOCK IN SHARE MODE";
        let found = findings(sql, &["user_id"], &[]);
        assert_eq!((found.statements, found.others, found.keys[0].reads.one), (3, 1, 1));
        let shown = text(&found);
        assert!(shown.contains("it does not parse: SELEC bad") && shown.contains("LOAD DATA"), "{shown}");
    }

    #[test]
    fn lines_are_cut_and_many_queries_are_counted() {
        let sql: String = (0..12)
            .map(|n| format!("SELECT {} FROM t WHERE b{n} = a;", "column, ".repeat(20) + "a"))
            .collect();
        let shown = text(&findings(&sql, &["a"], &[]));
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
        assert!(shown.contains("4 shapes more") && shown.contains('…'), "{shown}");
    }

    #[test]
    fn what_a_statement_holds_commands_no_terminal() {
        let shown = text(&findings("SELECT a FROM `t\u{1b}[2K` WHERE b = 1", &["a"], &[]));
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}
