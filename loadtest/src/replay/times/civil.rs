//! Civil times: a date, as much of a time of day as is known, and what is said of its zone.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use super::Precision;

/// A civil time as it was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Civil<'t> {
    pub(super) at: DateTime,
    pub(super) precision: Precision,
    /// The rest: a zone or an offset, or nothing.
    pub(super) zone: &'t str,
}

impl<'t> Civil<'t> {
    /// Reads `2016-02-28`, `2016-02-28 13`, `2016-02-28T13:14:15.123` and the like; slashes will do for hyphens.
    pub(super) fn read(text: &'t str) -> Option<Self> {
        let mut rest = Rest(text);
        let year = rest.digits(4)?;
        let sign = rest.sign(&['-', '/'])?;
        let month = rest.digits(2)?;
        rest.sign(&[sign])?;
        let day = rest.digits(2)?;
        let date = date(year, month, day)?;
        let (time, precision) = match rest.clock() {
            Some(hour) => time_of_day(hour, &mut rest)?,
            None => (Time::midnight(), Precision::Day),
        };
        Some(Self { at: date.to_datetime(time), precision, zone: rest.0.trim() })
    }

    /// Reads `28/2/2016 9:05`, `28.02.2016` and the like.
    pub(super) fn day_first(text: &'t str) -> Option<Self> {
        Self::year_last(text, |first, second| (second, first))
    }

    /// Reads `2/28/2016 9:05`, `02-28-2016 09:05:15 PM` and the like.
    pub(super) fn month_first(text: &'t str) -> Option<Self> {
        Self::year_last(text, |first, second| (first, second))
    }

    /// Reads a date whose year comes last; `order` gives month and day.
    fn year_last(text: &'t str, order: fn(u32, u32) -> (u32, u32)) -> Option<Self> {
        let mut rest = Rest(text);
        let first = rest.one_or_two()?;
        let sign = rest.sign(&['/', '.', '-'])?;
        let second = rest.one_or_two()?;
        rest.sign(&[sign])?;
        let (month, day) = order(first, second);
        let date = date(rest.digits(4)?, month, day)?;
        let (time, precision) = match rest.short_clock() {
            Some(hour) => time_of_day(hour, &mut rest)?,
            None => (Time::midnight(), Precision::Day),
        };
        let time = match rest.0.trim() {
            "" => time,
            half if precision != Precision::Day => in_half(time, half)?,
            _ => return None,
        };
        Some(Self { at: date.to_datetime(time), precision, zone: "" })
    }

    /// Reads `20160228`.
    pub(super) fn compact(text: &'t str) -> Option<Self> {
        let mut rest = Rest(text);
        let date = date(rest.digits(4)?, rest.digits(2)?, rest.digits(2)?)?;
        let at = date.to_datetime(Time::midnight());
        rest.0.is_empty().then_some(Self { at, precision: Precision::Day, zone: "" })
    }
}

fn date(year: u32, month: u32, day: u32) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// A time of a clock of twelve hours, with `AM` or `PM` behind it.
fn in_half(time: Time, half: &str) -> Option<Time> {
    let hour = time.hour();
    let (is_pm, is_am) = (half.eq_ignore_ascii_case("pm"), half.eq_ignore_ascii_case("am"));
    if !(is_pm || is_am) || !(1..=12).contains(&hour) {
        return None;
    }
    let hour = hour % 12 + if is_pm { 12 } else { 0 };
    Time::new(hour, time.minute(), time.second(), time.subsec_nanosecond()).ok()
}

fn time_of_day(hour: u32, rest: &mut Rest<'_>) -> Option<(Time, Precision)> {
    let part = |number: u32| i8::try_from(number).ok();
    if rest.sign(&[':']).is_none() {
        return Some((Time::new(part(hour)?, 0, 0, 0).ok()?, Precision::Hour));
    }
    let minute = rest.digits(2)?;
    let second = if rest.sign(&[':']).is_some() { rest.digits(2)? } else { 0 };
    let nanos = if rest.sign(&['.', ',']).is_some() { rest.fraction()? } else { 0 };
    let time = Time::new(part(hour)?, part(minute)?, part(second)?, i32::try_from(nanos).ok()?).ok()?;
    Some((time, Precision::Moment))
}

/// The zone that a suffix names: `Z`, ` UTC`, ` GMT`, `[UTC]`, ` +0800`, `+08:00[Asia/Shanghai]`, `[Europe/Berlin]`.
pub(super) fn zone(suffix: &str) -> Option<TimeZone> {
    if ["z", "utc", "gmt", "[utc]", "[gmt]"].iter().any(|name| suffix.eq_ignore_ascii_case(name)) {
        return Some(TimeZone::UTC);
    }
    let (before, name) = match suffix.strip_suffix(']').and_then(|suffix| suffix.split_once('[')) {
        Some((before, name)) => (before.trim(), Some(name)),
        None => (suffix, None),
    };
    match (before, name) {
        ("", Some(name)) => TimeZone::get(name).ok(),
        (before, _) if before.eq_ignore_ascii_case("z") => Some(TimeZone::UTC),
        (before, _) => offset(before).map(TimeZone::fixed),
    }
}

/// `+08:00`, `+0800` or `+08`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, text.get(1..)?),
        b'-' => (-1, text.get(1..)?),
        _ => return None,
    };
    let mut rest = Rest(digits);
    let hours = rest.digits(2)?;
    let minutes = if rest.0.is_empty() {
        0
    } else {
        rest.sign(&[':']);
        rest.digits(2)?
    };
    let seconds = i32::try_from(hours * 3_600 + minutes * 60).ok()?;
    Offset::from_seconds(sign * seconds).ok().filter(|_| rest.0.is_empty() && hours <= 18 && minutes < 60)
}

/// The text that is not read yet.
struct Rest<'t>(&'t str);

impl Rest<'_> {
    /// Reads so many digits, and no more.
    fn digits(&mut self, number: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(number)?;
        let fine = digits.bytes().all(|byte| byte.is_ascii_digit());
        self.0 = rest;
        digits.parse().ok().filter(|_| fine)
    }

    /// One digit or two.
    fn one_or_two(&mut self) -> Option<u32> {
        let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
        if length > 2 { None } else { self.digits(length).filter(|_| length > 0) }
    }

    /// One of these signs, if it comes next.
    fn sign(&mut self, signs: &[char]) -> Option<char> {
        let sign = self.0.chars().next().filter(|next| signs.contains(next))?;
        self.0 = self.0.get(sign.len_utf8()..)?;
        Some(sign)
    }

    /// The hour of a time of day, behind a blank or a T, if one comes next.
    fn clock(&mut self) -> Option<u32> {
        let mut rest = Rest(self.0);
        rest.sign(&['T', 't', ' '])?;
        let hour = Rest(rest.0.trim_start()).digits(2)?;
        let behind = rest.0.trim_start().get(2..)?;
        self.0 = behind;
        Some(hour)
    }

    /// The same, where an hour may have one digit.
    fn short_clock(&mut self) -> Option<u32> {
        let mut rest = Rest(self.0);
        rest.sign(&['T', 't', ' '])?;
        rest.0 = rest.0.trim_start();
        let hour = rest.one_or_two()?;
        self.0 = rest.0;
        Some(hour)
    }

    /// The digits behind a point, as nanoseconds.
    fn fraction(&mut self) -> Option<u32> {
        let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let digits = self.0.get(..length).filter(|digits| !digits.is_empty())?;
        self.0 = self.0.get(length..)?;
        nanos(digits)
    }
}

/// Digits behind a point, as billionths; more than nine add nothing.
pub(super) fn nanos(digits: &str) -> Option<u32> {
    let nine: String = digits.chars().chain(std::iter::repeat('0')).take(9).collect();
    nine.parse().ok()
}
