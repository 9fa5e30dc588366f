//! Sources to advise on: a trace and a log of queries, made as they are read, the same for every seed.

use std::io::{self, Write};

use coupon_measure::random::Random;

/// The first moment of both: 1 November 2026, 00:00 UTC.
const BEGINS: u64 = 1_793_491_200;
/// The streams of the trace and of the log, apart from each other.
const TRACE: u64 = 1;
const LOG: u64 = 2;

/// Grabs, 200 a second: users of 3 million, rooms of 5,000, of which the first are the hottest, each of ten coupons.
pub(super) fn trace(out: &mut dyn Write, rows: u64, seed: u64) -> io::Result<()> {
    let mut random = Random::new(seed, TRACE);
    writeln!(out, "user_id,room_id,coupon_id,grab_time")?;
    for row in 0..rows {
        let (user, coupon) = (1 + random.below(3_000_000), 1 + random.below(10));
        let most = 1 + random.below(5_000);
        let room = 1 + random.below(most);
        writeln!(out, "{user},{room},{coupon},{}", BEGINS + row / 200)?;
    }
    Ok(())
}

/// MySQL's general log of a shop: reads of one row, of a page, of a join, of lists of every length, and writes.
pub(super) fn general_log(out: &mut dyn Write, statements: u64, seed: u64) -> io::Result<()> {
    let mut random = Random::new(seed, LOG);
    for number in 0..statements {
        let (second, micros) = (number / 500, number % 500 * 2_000);
        let (day, time) = (1 + second / 86_400, second % 86_400);
        let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
        write!(
            out,
            "2026-11-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z\t{:5} Query\t",
            random.below(64)
        )?;
        statement(out, &mut random)?;
    }
    Ok(())
}

fn statement(out: &mut dyn Write, random: &mut Random) -> io::Result<()> {
    let (user, room, id) = (random.below(1_000_000), random.below(5_000), random.next_u64() >> 12);
    match random.below(10) {
        0..=2 => writeln!(
            out,
            "SELECT * FROM coupon_results WHERE user_id = {user} ORDER BY result_id DESC LIMIT 20"
        ),
        3 => writeln!(
            out,
            "SELECT COUNT(*), SUM(amount) FROM coupon_results WHERE room_id = {room} AND state = 'used'"
        ),
        4 => {
            write!(out, "SELECT result_id, state FROM coupon_results WHERE user_id IN ({user}")?;
            for _ in 0..random.below(40) {
                write!(out, ", {}", random.below(1_000_000))?;
            }
            writeln!(out, ")")
        }
        5 => writeln!(
            out,
            "SELECT o.*, i.sku FROM coupon_results AS o JOIN items i ON i.user_id = o.user_id AND i.result_id = o.result_id \
             WHERE o.user_id = {user} AND o.result_id > {id}"
        ),
        6 => {
            write!(
                out,
                "INSERT INTO coupon_results (result_id, user_id, room_id, state) VALUES ({id}, {user}, {room}, 'owned')"
            )?;
            for more in 0..random.below(8) {
                write!(out, ", ({}, {}, {room}, 'owned')", id + more + 1, random.below(1_000_000))?;
            }
            writeln!(out)
        }
        7 => writeln!(
            out,
            "UPDATE coupon_results SET state = 'used', used_at = NOW(3) WHERE result_id = {id} AND user_id = {user}"
        ),
        8 => writeln!(
            out,
            "SELECT * FROM coupon_results WHERE created_at >= '2026-11-{:02}' AND created_at < '2026-11-{:02}' OR result_id = {id}",
            1 + random.below(28),
            1 + random.below(28)
        ),
        _ => writeln!(out, "COMMIT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(make: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        make(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_trace_has_its_rows_in_the_order_of_their_times_and_rooms_that_are_hot() {
        let trace = text(|out| trace(out, 2_000, 1));
        let rows: Vec<Vec<u64>> = trace
            .lines()
            .skip(1)
            .map(|line| line.split(',').map(|field| field.parse().unwrap()).collect())
            .collect();
        assert_eq!((rows.len(), rows[0][3], rows[1_999][3]), (2_000, BEGINS, BEGINS + 9));
        let hot = rows.iter().filter(|row| row[1] <= 500).count();
        assert!((400..1_000).contains(&hot), "{hot}");
    }

    #[test]
    fn a_log_has_a_line_for_each_statement_with_its_time() {
        let log = text(|out| general_log(out, 1_000, 1));
        assert_eq!(log.lines().count(), 1_000);
        assert!(
            log.lines().all(|line| line.starts_with("2026-11-01T00:00:0") && line.contains(" Query\t")),
            "{log}"
        );
        assert_eq!(log, text(|out| general_log(out, 1_000, 1)));
        assert_ne!(log, text(|out| general_log(out, 1_000, 2)));
    }
}
