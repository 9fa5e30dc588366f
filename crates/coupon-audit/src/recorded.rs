//! The start of a run as a file, as `loadtest run --acks FILE` writes it beside that file, for an audit on another day.
//!
//! A line for each thing remembered, its kind first, and a last line that says how many there are: what is left of a
//! file that was cut would call older rows the run's own.

use std::io::{self, BufRead, Write};

use anyhow::{Context, Result, bail, ensure};

use super::source::{Coupon, Terms};
use super::start::StartState;

/// The first line.
const HEADER: &str = "# the start of a run, 1";
/// The text around the number of lines in the last one.
const END: (&str, &str) = ("# end: ", " lines");

impl StartState {
    /// Writes it down.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { dataset, rows, lines, catalogue, gate, outboxes, unlogged, given_back } = self;
        writeln!(out, "{HEADER}\ndataset,{dataset}")?;
        writeln!(out, "given_back,{given_back}")?;
        for (applied, written) in outboxes {
            writeln!(out, "outbox,{applied},{written}")?;
        }
        for (id, coupon) in catalogue {
            let Coupon { room, total, remaining, start, end, active, user_limit, taken_back } = coupon;
            let active = i64::from(*active);
            writeln!(
                out,
                "coupon,{id},{room},{total},{remaining},{start},{end},{active},{user_limit},{taken_back}"
            )?;
        }
        for (id, Terms { total, start, end }) in gate {
            writeln!(out, "gate,{id},{total},{start},{end}")?;
        }
        for ((shard, coupon), rows) in unlogged {
            writeln!(out, "unlogged,{shard},{coupon},{rows}")?;
        }
        for (id, digest) in lines {
            writeln!(out, "line,{id},{digest}")?;
        }
        for (id, digest) in rows {
            writeln!(out, "row,{id},{digest}")?;
        }
        let counts = [outboxes.len(), catalogue.len(), gate.len(), unlogged.len(), lines.len(), rows.len()];
        let count = 2 + counts.iter().sum::<usize>();
        writeln!(out, "{}{count}{}", END.0, END.1)
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// When it is something else, or does not end as it should; the error names the line.
    pub fn read(mut reader: impl BufRead) -> Result<Self> {
        let (mut start, mut line, mut count) = (Self::default(), String::new(), 0_u64);
        reader.read_line(&mut line)?;
        ensure!(line.trim_end() == HEADER, "its first line is not {HEADER:?}");
        loop {
            line.clear();
            ensure!(
                reader.read_line(&mut line)? > 0,
                "it ends after line {} without its last line: it was cut, or whoever was to write it did not come to its \
                 end",
                count + 1
            );
            let text = line.trim_end();
            if let Some(told) = text.strip_prefix(END.0).and_then(|rest| rest.strip_suffix(END.1)) {
                ensure!(told.parse() == Ok(count), "its last line says {told} lines, and there are {count}");
                break;
            }
            count += 1;
            start.take(text).with_context(|| format!("line {}: {text:?}", count + 1))?;
        }
        start.rows.sort_unstable();
        start.lines.sort_unstable();
        Ok(start)
    }

    fn take(&mut self, line: &str) -> Result<()> {
        let (kind, rest) = line.split_once(',').context("it has no kind")?;
        if kind == "dataset" {
            self.dataset = rest.to_owned();
            return Ok(());
        }
        // Digests use all of their 64 bits.
        let numbers = rest.split(',').map(str::parse::<i128>).collect::<Result<Vec<_>, _>>()?;
        let number = |number: i128| i64::try_from(number).context("a number is out of range");
        let digest = |number: i128| u64::try_from(number).context("a number is out of range");
        match (kind, numbers.as_slice()) {
            ("row", &[id, of]) => self.rows.push((number(id)?, digest(of)?)),
            ("line", &[id, of]) => self.lines.push((number(id)?, digest(of)?)),
            ("given_back", &[rows]) => self.given_back = number(rows)?,
            ("outbox", &[applied, written]) => self.outboxes.push((number(applied)?, number(written)?)),
            ("unlogged", &[shard, coupon, rows]) => {
                self.unlogged.insert((u16::try_from(shard)?, number(coupon)?), number(rows)?);
            }
            // Earlier versions wrote no limit, since there was none but one, and nothing taken back.
            ("coupon", &[id, room, total, remaining, start, end, active, ref rest @ ..]) => {
                let coupon = Coupon {
                    user_limit: rest.first().map_or(Ok(1), |limit| number(*limit))?,
                    taken_back: rest.get(1).map_or(Ok(0), |taken_back| number(*taken_back))?,
                    room: number(room)?,
                    total: number(total)?,
                    remaining: number(remaining)?,
                    start: number(start)?,
                    end: number(end)?,
                    active: active != 0,
                };
                self.catalogue.insert(number(id)?, coupon);
            }
            ("gate", &[id, total, start, end]) => {
                let terms = Terms { total: number(total)?, start: number(start)?, end: number(end)? };
                self.gate.insert(number(id)?, terms);
            }
            _ => bail!(
                "it is none of dataset, given_back, outbox, coupon, gate, unlogged, line and row, with their numbers"
            ),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    fn start() -> StartState {
        let coupon = Coupon {
            room: 1,
            total: 10,
            remaining: -3,
            start: 0,
            end: i64::MAX,
            active: true,
            user_limit: 3,
            taken_back: 1,
        };
        StartState {
            dataset: "d1".to_owned(),
            rows: vec![(7, u64::MAX), (9, 0)],
            lines: vec![(-1, 5)],
            catalogue: BTreeMap::from([(3, coupon), (4, Coupon { active: false, ..coupon })]),
            gate: BTreeMap::from([(3, Terms { total: 9, start: 1, end: 0 })]),
            outboxes: vec![(2, 3), (0, 0)],
            unlogged: HashMap::from([((1, 3), 8)]),
            given_back: 3,
        }
    }

    fn written() -> String {
        let mut out = Vec::new();
        start().write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_written_is_read_and_is_the_same() {
        assert_eq!(StartState::read(written().as_bytes()).unwrap(), start());
    }

    #[test]
    fn a_file_that_was_cut_or_changed_anywhere_is_refused() {
        let whole = written();
        for length in 0..whole.len() - 1 {
            assert!(StartState::read(&whole.as_bytes()[..length]).is_err(), "{length}");
        }
        let missing = StartState::read(whole.replace("row,9,0\n", "").as_bytes()).unwrap_err().to_string();
        assert!(missing.contains("says 11 lines, and there are 10"), "{missing}");
        let bad = StartState::read(whole.replace("row,9,0", "row,nine,0").as_bytes()).unwrap_err();
        assert!(format!("{bad:#}").contains("line 12: \"row,nine,0\""), "{bad:#}");
    }
}
