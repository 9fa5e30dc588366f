//! Flags that say which trace to read, and how.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use coupon_cli::numbers;
use coupon_cli::output::Output;
use jiff::tz::TimeZone;

use crate::replay::{
    ColumnCondition, Columns, Header, KeyColumns, QueryRows, ReadOptions, Recording, RowShare, TimeFormat,
    read, time_zone, write_users,
};
use crate::source::{Format, Separator, TextEncoding};

/// The trace, and how to read it.
#[derive(Debug, clap::Args)]
pub(super) struct TraceArgs {
    /// A table with a header, a line a grab: a file, a pipe, or - for the standard input. It may be packed by gzip or
    /// zstd; columns may be parted by commas, semicolons, tabs or |
    #[arg(value_name = "TRACE.csv")]
    trace: PathBuf,
    /// Column names, such as user=User_id,room=Merchant_id,coupon=Coupon_id,time=Date_received. Those that are left
    /// out are user_id, room_id, coupon_id and grab_time. Public data sets that are known by their headers need none
    #[arg(long, value_name = "KEY=COLUMN,…")]
    map: Option<Columns>,
    /// The names of the columns of a file without a header, such as user,coupon,room,_,time; _ is not needed
    #[arg(long, value_name = "NAME,…")]
    columns: Option<Header>,
    /// Take only rows with such a value as grabs: event=transaction, type=3|4 or event!=view; all of several must hold
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    conditions: Vec<ColumnCondition>,
    /// Rows with such a value are queries of that kind, such as user_coupons=event:view; may be given several times
    #[arg(long, value_name = "ENDPOINT=COLUMN:VALUE")]
    query: Vec<QueryRows>,
    /// Format of times; found out without it. Without an offset they are UTC, or of --time-zone
    #[arg(long, value_enum, value_name = "FORMAT")]
    time_format: Option<TimeFormat>,
    /// The zone of times that have no offset, such as Asia/Shanghai or +08:00
    #[arg(long, value_name = "ZONE", value_parser = time_zone)]
    time_zone: Option<TimeZone>,
    /// The encoding of the text, such as gbk or windows-1252; UTF-8 and UTF-16 are found out
    #[arg(long, value_name = "NAME")]
    encoding: Option<TextEncoding>,
    /// The sign that parts the columns; found out without it
    #[arg(long, value_name = "SIGN", allow_hyphen_values = true)]
    separator: Option<Separator>,
    /// Read only the first so many rows
    #[arg(long, value_name = "ROWS", value_parser = numbers::some::<u64>)]
    first: Option<u64>,
    /// Keep only this part of the rows, chosen by user and coupon, such as 1%
    #[arg(long, value_name = "PART", default_value = "100%")]
    sample: RowShare,
    /// Keep at most so many rows; of a larger trace a smaller part is kept, by halves
    #[arg(long, value_name = "ROWS", default_value_t = ReadOptions::MOST, value_parser = numbers::some::<usize>)]
    most: usize,
    /// Write the names of users whose ids are hashes of them here, as CSV
    #[arg(long, value_name = "FILE")]
    user_map: Option<PathBuf>,
    /// Seed of all random choices: the time of day of grabs that have only a date, and the data that is seeded
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
}

impl TraceArgs {
    /// Reads the trace, and what its rows have in these columns.
    pub(super) fn recording(&self, keys: &[KeyColumns]) -> Result<Recording> {
        let json = self.trace.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        ensure!(
            !json,
            "{}: a report keeps no rows, so nothing can be routed again: give the trace itself, as CSV",
            self.trace.display()
        );
        let users = self.user_map.as_deref().map(|path| Output::create("--user-map", path)).transpose()?;
        let recording = read(&self.trace, &ReadOptions { keys: keys.to_vec(), ..self.reading() })?;
        if let Some(users) = users {
            users.write(|file| write_users(&recording, file))?;
        }
        Ok(recording)
    }

    /// True when rows of the trace are queries.
    pub(super) const fn has_queries(&self) -> bool {
        !self.query.is_empty()
    }

    fn reading(&self) -> ReadOptions {
        ReadOptions {
            source: Format { encoding: self.encoding, separator: self.separator },
            header: self.columns.clone(),
            columns: self.map.clone(),
            conditions: self.conditions.clone(),
            asked: self.query.clone(),
            format: self.time_format,
            zone: self.time_zone.clone(),
            first: self.first,
            sample: self.sample,
            most: self.most,
            keys: Vec::new(),
            with_names: self.user_map.is_some(),
            seed: self.seed,
        }
    }
}
