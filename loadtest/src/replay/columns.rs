//! The columns of a file and their meanings.

use anyhow::{Context, Result, bail, ensure};

/// The names of the columns that are needed, as the file's header spells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The user who grabbed.
    pub user: String,
    /// The room: with a shop's receipts, the merchant.
    pub room: String,
    /// The coupon.
    pub coupon: String,
    /// The time.
    pub time: String,
}

impl Default for Columns {
    /// The columns of this project's own traces.
    fn default() -> Self {
        let [user, room, coupon, time] = ["user_id", "room_id", "coupon_id", "grab_time"].map(str::to_owned);
        Self { user, room, coupon, time }
    }
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
            name.trim().clone_into(column);
        }
        Ok(columns)
    }
}

/// The positions of the columns in each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) user: usize,
    pub(super) room: usize,
    pub(super) coupon: usize,
    pub(super) time: usize,
}

impl Columns {
    /// Finds them in a header.
    pub(super) fn find(&self, header: &[String]) -> Result<Places> {
        let find = |key: &str, name: &String| {
            header.iter().position(|column| column == name).with_context(|| {
                format!(
                    "it has no column {name:?} for {key}; it has {}: say which with --map {key}=COLUMN",
                    { header.join(", ") }
                )
            })
        };
        Ok(Places {
            user: find("user", &self.user)?,
            room: find("room", &self.room)?,
            coupon: find("coupon", &self.coupon)?,
            time: find("time", &self.time)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_mapped_by_name_and_found_in_any_order() {
        let columns: Columns = "user=User_id, room=Merchant_id,time=Date_received".parse().unwrap();
        assert_eq!(columns.coupon, "coupon_id");
        let header = ["Date_received", "coupon_id", "Distance", "Merchant_id", "User_id"].map(str::to_owned);
        assert_eq!(columns.find(&header).unwrap(), Places { user: 4, room: 3, coupon: 1, time: 0 });
    }

    #[test]
    fn what_is_no_mapping_is_refused_and_a_missing_column_named_with_those_there_are() {
        for text in ["user", "user=", "colour=x", ""] {
            assert!(text.parse::<Columns>().is_err(), "{text:?}");
        }
        let header = ["User_id", "Merchant_id"].map(str::to_owned);
        let error = Columns::default().find(&header).unwrap_err().to_string();
        assert!(error.contains("--map user=") && error.contains("User_id, Merchant_id"), "{error}");
    }
}
