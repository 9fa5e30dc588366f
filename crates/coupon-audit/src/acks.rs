//! The file of answers that clients got, as `loadtest run --acks` writes it and `loadtest audit --acks` reads it.
//!
//! A header, a line a grab or a step after it, and a last line that says how many there are. Without that line a file was cut
//! short, and an audit of what is left of it would call an acknowledged grab invented, or miss that it was lost.

use std::io::{self, BufRead, Write};

use anyhow::{Context, Result, bail, ensure};
use coupon_core::{Money, Timestamp};

use super::claims::{Claims, GrabClaim};
use super::spent::UseAnswer;
use super::steps::StepAnswer;

/// The first line.
const HEADER: &str = "user_id,coupon_id,outcome,result_id,told_at,order_amount,use_time";
/// The columns that every such file has had; the others came later, one by one.
const OLDEST: &str = "user_id,coupon_id,outcome,result_id";
/// The text around the number of lines in the last one.
const END: (&str, &str) = ("# end: ", " lines");

/// An answer that a client got: a line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The user who asked.
    pub user: u64,
    /// The answer, and the coupon or result that it is about.
    pub told: ClientAnswer,
    /// The time of the answer, by the client's clock.
    pub told_at: Timestamp,
}

/// An answer that a client got, and the coupon or result that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAnswer {
    /// Of a grab of that coupon.
    Grab(u64, GrabClaim),
    /// Of the use of that result.
    Use(i64, UseAnswer),
    /// Of another step of that result.
    Step(i64, StepAnswer),
}

/// Writes the answers that clients got.
///
/// # Errors
/// When it cannot be written.
pub fn write_acks(out: &mut impl Write, acks: impl Iterator<Item = Ack>) -> io::Result<()> {
    writeln!(out, "{HEADER}")?;
    let mut lines = 0_u64;
    for ack in acks {
        ack.write(out)?;
        lines += 1;
    }
    writeln!(out, "{}{lines}{}", END.0, END.1)
}

impl Ack {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { user, told, told_at } = self;
        match *told {
            ClientAnswer::Grab(coupon, claim) => {
                // Some refusals can be held against the data as well, so that they keep their names.
                let (outcome, id) = match claim {
                    GrabClaim::Granted(result) => ("granted", Some(result)),
                    GrabClaim::Held(result) => ("duplicate", result),
                    GrabClaim::SoldOut => ("out_of_stock", None),
                    GrabClaim::InvalidTime(_) => ("invalid_time", None),
                    GrabClaim::Refused => ("refused", None),
                    GrabClaim::Unknown => ("unknown", None),
                };
                let id = id.map_or_else(String::new, |id| id.to_string());
                writeln!(out, "{user},{coupon},{outcome},{id},{told_at},,")
            }
            ClientAnswer::Use(result, told) => {
                let (outcome, cents, time) = match told {
                    UseAnswer::Used { cents, time } => ("used", Some(cents), time),
                    UseAnswer::UsedBefore => ("used_before", None, None),
                    UseAnswer::Unknown { cents } => ("use_unknown", Some(cents), None),
                };
                let amount = cents.map_or_else(String::new, |cents| Money::from_cents(cents).to_string());
                let time = time.map_or_else(String::new, |time| Timestamp::from_millis(time).to_string());
                writeln!(out, "{user},,{outcome},{result},{told_at},{amount},{time}")
            }
            ClientAnswer::Step(result, told) => writeln!(out, "{user},,{},{result},{told_at},,", told.word()),
        }
    }
}

impl Claims {
    /// Reads what [`write_acks`] wrote; several such files in one, too.
    ///
    /// # Errors
    /// When a line is not what the header promises, or the file does not end as it should; the error names the line.
    pub fn read_acks(&mut self, mut reader: impl BufRead) -> Result<()> {
        let (mut line, mut number, mut lines, mut ended) = (String::new(), 0_u64, 0_u64, false);
        while reader.read_line(&mut line).with_context(|| format!("line {}", number + 1))? > 0 {
            number += 1;
            let (text, whole) = (line.trim(), line.ends_with('\n'));
            if let Some(told) = end_mark(text) {
                ensure!(
                    told == lines,
                    "line {number} says that {told} lines come before it, and there are {lines}: it was cut or changed"
                );
                (lines, ended) = (0, true);
            } else if !text.is_empty() && !is_header(text) {
                ensure!(whole, "line {number}, the last, is cut: {text:?}");
                let (user, told) =
                    parse(text).with_context(|| format!("line {number}: {text:?} is not {HEADER}"))?;
                self.take(user, told);
                (lines, ended) = (lines + 1, false);
            }
            line.clear();
        }
        match (ended, number) {
            (true, _) => Ok(()),
            (false, 0) => bail!("it is empty: whoever was to write it did not come to its end"),
            (false, _) => bail!(
                "it ends after line {number} without its last line, {}NUMBER{}: it was cut, or whoever was to write it \
                 did not come to its end",
                END.0,
                END.1
            ),
        }
    }
}

/// True if a line is the first one, now or as it was before the last columns were added.
fn is_header(line: &str) -> bool {
    let end_of_a_name =
        HEADER.strip_prefix(line).is_some_and(|rest| rest.is_empty() || rest.starts_with(','));
    end_of_a_name && line.starts_with(OLDEST)
}

/// The number of lines before that one, if it is a last one.
fn end_mark(line: &str) -> Option<u64> {
    line.strip_prefix(END.0)?.strip_suffix(END.1)?.parse().ok()
}

fn parse(line: &str) -> Result<(u64, ClientAnswer)> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let given = |at: usize| fields.get(at).copied().filter(|field| !field.is_empty());
    let field = |at: usize| given(at).context("a field is missing");
    let id = || field(3)?.parse::<i64>().context("result_id");
    let time =
        |at: usize, name: &'static str| given(at).map(str::parse::<Timestamp>).transpose().context(name);
    let cents = || {
        let amount = field(5)?.parse().ok().and_then(Money::from_units);
        amount.map(Money::cents).context("order_amount")
    };
    let claim = match field(2)? {
        "granted" => GrabClaim::Granted(id()?),
        "duplicate" => GrabClaim::Held(given(3).map(str::parse).transpose().context("result_id")?),
        "out_of_stock" => GrabClaim::SoldOut,
        "invalid_time" => GrabClaim::InvalidTime(time(4, "told_at")?),
        "refused" => GrabClaim::Refused,
        "unknown" => GrabClaim::Unknown,
        step => {
            let told = match step {
                "used" => ClientAnswer::Use(
                    id()?,
                    UseAnswer::Used { cents: cents()?, time: time(6, "use_time")?.map(Timestamp::millis) },
                ),
                "used_before" => ClientAnswer::Use(id()?, UseAnswer::UsedBefore),
                "use_unknown" => ClientAnswer::Use(id()?, UseAnswer::Unknown { cents: cents()? }),
                other => match StepAnswer::WORDS.iter().find(|(_, word)| *word == other) {
                    Some((told, _)) => ClientAnswer::Step(id()?, *told),
                    None => bail!(
                        "outcome {other:?} is none of granted, duplicate, out_of_stock, invalid_time, refused, unknown, \
                         used, used_before, use_unknown, confirmed, released, returned, confirm_unknown, release_unknown, return_unknown"
                    ),
                },
            };
            return Ok((field(0)?.parse()?, told));
        }
    };
    Ok((field(0)?.parse()?, ClientAnswer::Grab(field(1)?.parse()?, claim)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acks() -> Vec<Ack> {
        let told_at = Timestamp::from_millis(1_796_000_000_000);
        let grabs = [
            (1, GrabClaim::Granted(99)),
            (3, GrabClaim::Refused),
            (4, GrabClaim::Held(Some(98))),
            (5, GrabClaim::SoldOut),
            (6, GrabClaim::Unknown),
            (7, GrabClaim::InvalidTime(Some(told_at))),
        ];
        let uses = [
            (1, UseAnswer::Used { cents: 590, time: Some(told_at.millis() + 1) }),
            (8, UseAnswer::Used { cents: 1_005, time: None }),
            (9, UseAnswer::UsedBefore),
            (10, UseAnswer::Unknown { cents: 7 }),
        ];
        let grabs = grabs.map(|(user, claim)| (user, ClientAnswer::Grab(2, claim)));
        let uses = uses.map(|(user, told)| (user, ClientAnswer::Use(99, told)));
        let steps =
            (11..).zip(StepAnswer::WORDS).map(|(user, (told, _))| (user, ClientAnswer::Step(97, told)));
        grabs.into_iter().chain(uses).chain(steps).map(|(user, told)| Ack { user, told, told_at }).collect()
    }

    fn written() -> String {
        let mut out = Vec::new();
        write_acks(&mut out, acks().into_iter()).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn read(text: &str) -> Result<Claims> {
        let mut claims = Claims::default();
        claims.read_acks(text.as_bytes())?;
        Ok(claims)
    }

    #[test]
    fn every_outcome_has_its_word_and_names_the_result_that_it_is_about() {
        let time = "2026-11-30T00:53:20.000Z";
        let lines =
            ["1,2,granted,99", "3,2,refused,", "4,2,duplicate,98", "5,2,out_of_stock,", "6,2,unknown,"];
        let mut wanted = format!("{HEADER}\n");
        for line in lines.into_iter().chain(["7,2,invalid_time,"]) {
            wanted.push_str(&format!("{line},{time},,\n"));
        }
        let uses = [
            format!("1,,used,99,{time},5.90,2026-11-30T00:53:20.001Z"),
            format!("8,,used,99,{time},10.05,"),
            format!("9,,used_before,99,{time},,"),
            format!("10,,use_unknown,99,{time},0.07,"),
        ];
        let steps = (11..).zip([
            "confirmed",
            "released",
            "returned",
            "confirm_unknown",
            "release_unknown",
            "return_unknown",
        ]);
        let steps: String = steps.map(|(user, word)| format!("{user},,{word},97,{time},,\n")).collect();
        assert_eq!(written(), format!("{wanted}{}\n{steps}# end: 16 lines\n", uses.join("\n")));
    }

    #[test]
    fn a_file_without_times_is_read_as_well() {
        let claims =
            read("user_id,coupon_id,outcome,result_id\n1,2,granted,99\n4,2,duplicate,\n# end: 2 lines\n");
        assert_eq!(claims.unwrap().refused(), 1);
        let since = read("user_id,coupon_id,outcome,result_id,told_at\n1,2,granted,99,\n# end: 1 lines\n");
        assert!(since.is_ok());
        assert!(read("user_id,coupon_id,outcome,result_id,told\n# end: 0 lines\n").is_err());
    }

    #[test]
    fn what_was_written_is_read_and_means_the_same() {
        let mut told = Claims::default();
        acks().into_iter().for_each(|ack| told.take(ack.user, ack.told));
        assert_eq!(read(&written()).unwrap(), told);
        assert_eq!(read(&written().replace('\n', "\r\n")).unwrap(), told);
        let twice = read(&written().repeat(2)).unwrap();
        assert_eq!((twice.refused(), twice.unknown()), (2 * told.refused(), 2 * told.unknown()));
    }

    #[test]
    fn a_file_that_was_cut_anywhere_is_refused() {
        let whole = written();
        let mark = whole.trim_end().len();
        for length in 0..mark {
            let cut = &whole[..length];
            let error = format!("{:#}", read(cut).unwrap_err());
            let named =
                if length == 0 { "empty".to_owned() } else { format!("line {}", cut.lines().count()) };
            assert!(error.contains(&named), "{length}: {error}");
        }
        // The last line feed may be missing: what it ends is whole.
        assert!(read(&whole[..mark]).is_ok());
    }

    #[test]
    fn a_line_that_is_missing_in_the_middle_is_missed() {
        let error = read(&written().replace("6,2,unknown,,2026-11-30T00:53:20.000Z,,\n", ""))
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 17 says that 16 lines come before it, and there are 15"), "{error}");
    }

    #[test]
    fn a_bad_line_is_named() {
        let bad = read("1,2,granted,\n").unwrap_err();
        assert!(format!("{bad:#}").contains("line 1"), "{bad:#}");
        assert!(read("1,2,perhaps,3\n").is_err());
    }
}
