//! The columns of a file and their meanings.

use anyhow::{Context, Result, bail, ensure};
use coupon_cli::plain;
use coupon_measure::format::{count, list};

use crate::source::Record;

/// The columns that are named where one is missed.
const NAMED: usize = 20;
/// The most bytes of an id, a time or a column of a key: they are kept, and memory is bounded by their number alone
/// otherwise.
pub const LONGEST: usize = 1_024;

/// The names of the columns that are needed, as the file's header spells them; those that are not given have the names of
/// this project's own traces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// The user who grabbed.
    pub user: Option<String>,
    /// The room: with a shop's receipts, the merchant.
    pub room: Option<String>,
    /// The coupon.
    pub coupon: Option<String>,
    /// The time.
    pub time: Option<String>,
}

impl std::str::FromStr for Columns {
    type Err = anyhow::Error;

    /// Reads `user=User_id,room=Merchant_id,coupon=Coupon_id,time=Date_received`; what is left out keeps its default.
    fn from_str(text: &str) -> Result<Self> {
        let mut columns = Self::default();
        for part in text.split(',') {
            let form = || format!("{part:?} is not KEY=COLUMN, for example user=User_id");
            let (key, name) = part.split_once('=').with_context(form)?;
            ensure!(!name.trim().is_empty(), form());
            let column = match key.trim() {
                "user" => &mut columns.user,
                "room" => &mut columns.room,
                "coupon" => &mut columns.coupon,
                "time" => &mut columns.time,
                other => bail!("there is no {other:?}; there are user, room, coupon and time"),
            };
            if let Some(first) = column.replace(name.trim().to_owned()) {
                bail!("{} is told twice: {first:?} and {:?}", key.trim(), name.trim());
            }
        }
        Ok(columns)
    }
}

/// The names of a file's columns, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    names: Vec<String>,
    /// The file has none of its own: the command line named its columns.
    pub(super) is_given: bool,
}

impl std::str::FromStr for Header {
    type Err = anyhow::Error;

    /// Reads `user,coupon,room,_,time`; a column that is not needed is `_`.
    fn from_str(text: &str) -> Result<Self> {
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        ensure!(names.iter().all(|name| !name.is_empty()), "a column has no name; call what is not needed _");
        Ok(Self { names, is_given: true })
    }
}

/// A column that is needed: its place in each line, and its name for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) place: usize,
    pub(super) name: String,
}

impl Column {
    /// The text of a line in it.
    ///
    /// # Errors
    /// Says why it has none that can be kept.
    pub(super) fn text<'t>(&self, record: &Record<'t>) -> Result<&'t str, String> {
        let Self { place, name } = self;
        let text = record
            .field(*place)
            .ok_or_else(|| format!("no UTF-8 text in {name} (--encoding names another encoding)"))?;
        if text.len() > LONGEST {
            return Err(format!("more than {} bytes in {name}", count(LONGEST as u64)));
        }
        Ok(text)
    }
}

/// The columns that every line must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) user: Column,
    pub(super) room: Column,
    pub(super) coupon: Column,
    pub(super) time: Column,
}

impl Header {
    /// The header that a file's first line is.
    pub(super) fn of<'f>(fields: impl Iterator<Item = &'f [u8]>) -> Self {
        let names = fields.map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        Self { names, is_given: false }
    }

    /// The number of columns.
    pub(super) const fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The one column of that name.
    pub(super) fn find(&self, name: &str, flag: &str) -> Result<Column> {
        let mut places = self.names.iter().enumerate().filter(|(_, column)| *column == name);
        let (place, _) = places
            .next()
            .with_context(|| format!("it has no column {name:?} for {flag}; it has {}", self.listed()))?;
        if let Some((second, _)) = places.next() {
            bail!(
                "it has two columns {name:?}, number {} and {}: say which is which with --columns (a name each, in their \
                 order), and leave its first line out",
                place + 1,
                second + 1
            );
        }
        Ok(Column { place, name: plain::line(name).into_owned() })
    }

    /// The columns of the four meanings.
    pub(super) fn places(&self, columns: &Columns) -> Result<Places> {
        let find = |key: &str, told: &Option<String>, own: [&str; 2]| {
            let named = |name: &&str| self.names.iter().any(|column| column == name);
            let [usual, plain] = own;
            let name =
                told.as_deref().unwrap_or_else(|| [usual, plain].into_iter().find(named).unwrap_or(usual));
            self.find(name, key).with_context(|| format!("--map {key}=COLUMN says which column is the {key}"))
        };
        Ok(Places {
            user: find("user", &columns.user, ["user_id", "user"])?,
            room: find("room", &columns.room, ["room_id", "room"])?,
            coupon: find("coupon", &columns.coupon, ["coupon_id", "coupon"])?,
            time: find("time", &columns.time, ["grab_time", "time"])?,
        })
    }

    /// The names for a message.
    fn listed(&self) -> String {
        let name = |(at, name): (usize, &String)| match name.as_str() {
            "" => format!("one without a name, number {}", at + 1),
            name => plain::line(name).into_owned(),
        };
        let mut names: Vec<String> = self.names.iter().enumerate().take(NAMED).map(name).collect();
        let more = self.names.len().saturating_sub(NAMED) as u64;
        if more > 0 {
            names.push(format!("{} more", count(more)));
        }
        list(&names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &[&str]) -> Header {
        Header::of(names.iter().map(|name| name.as_bytes()))
    }

    fn places(header: &Header, columns: &str) -> Result<[usize; 4]> {
        let Places { user, room, coupon, time } = header.places(&columns.parse().unwrap())?;
        Ok([user, room, coupon, time].map(|column| column.place))
    }

    #[test]
    fn columns_are_mapped_by_name_and_found_in_any_order() {
        let header = header(&["Date_received", "coupon_id", "Distance", "", "Merchant_id", "User_id"]);
        let found = places(&header, "user=User_id, room=Merchant_id,time=Date_received").unwrap();
        assert_eq!(found, [5, 4, 1, 0]);
    }

    #[test]
    fn a_file_without_a_header_has_the_columns_that_are_named_for_it() {
        let header: Header = "user,coupon,room,_,time,_".parse().unwrap();
        assert_eq!(header.places(&Columns::default()).unwrap().time.place, 4);
        assert_eq!(places(&header, "room=coupon").unwrap(), [0, 1, 1, 4]);
        assert!("user,,time".parse::<Header>().unwrap_err().to_string().contains('_'));
    }

    #[test]
    fn what_is_no_mapping_is_refused_and_a_missing_column_named_with_those_there_are() {
        for text in ["user", "user=", "colour=x", "", "user=a,user=b"] {
            assert!(text.parse::<Columns>().is_err(), "{text:?}");
        }
        let error = format!("{:#}", header(&["User_id", ""]).places(&Columns::default()).unwrap_err());
        for told in ["--map user=", "User_id and one without a name, number 2"] {
            assert!(error.contains(told), "{error}");
        }
        let names: Vec<String> = (0..10_000).map(|n| format!("c{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let error = format!("{:#}", header(&names).places(&Columns::default()).unwrap_err());
        assert!(error.contains("c19 and 9,980 more") && !error.contains("c20"), "{error}");
    }

    #[test]
    fn a_column_that_is_there_twice_is_refused() {
        let twice = header(&["user_id", "room_id", "coupon_id", "grab_time", "user_id"]);
        let error = format!("{:#}", twice.places(&Columns::default()).unwrap_err());
        assert!(error.contains("two columns \"user_id\", number 1 and 5"), "{error}");
        assert!(error.contains("--columns"), "{error}");
        // A column that is not needed may be there twice.
        let other = header(&["user_id", "room_id", "coupon_id", "grab_time", "note", "note"]);
        assert!(other.places(&Columns::default()).is_ok());
    }
}
