//! Public data sets, known by their headers.

use super::columns::{Columns, Header};
use super::select::ColumnCondition;

/// A data set whose columns need not be mapped.
#[derive(Debug)]
pub(super) struct Known {
    /// The name that people know it by.
    pub(super) name: &'static str,
    /// The columns by which it is recognised.
    header: &'static [&'static str],
    map: &'static str,
    /// The rows that are purchases, where it has others.
    purchases: Option<&'static str>,
}

const ALL: [Known; 6] = [
    Known {
        name: "REES46 shop events",
        header: &["event_time", "event_type", "product_id", "category_id", "user_id"],
        map: "user=user_id,room=category_id,coupon=product_id,time=event_time",
        purchases: Some("event_type=purchase"),
    },
    Known {
        name: "Tianchi mobile shopping",
        header: &["user_id", "item_id", "behavior_type", "item_category", "time"],
        map: "user=user_id,room=item_category,coupon=item_id,time=time",
        purchases: Some("behavior_type=4"),
    },
    Known {
        name: "RetailRocket events",
        header: &["timestamp", "visitorid", "event", "itemid", "transactionid"],
        map: "user=visitorid,room=itemid,coupon=itemid,time=timestamp",
        purchases: Some("event=transaction"),
    },
    Known {
        name: "JData actions",
        header: &["user_id", "sku_id", "time", "model_id", "type", "cate", "brand"],
        map: "user=user_id,room=cate,coupon=sku_id,time=time",
        purchases: Some("type=4"),
    },
    Known {
        name: "KuaiLive visits",
        header: &["user_id", "live_id", "streamer_id", "timestamp", "watch_live_time"],
        map: "user=user_id,room=streamer_id,coupon=live_id,time=timestamp",
        purchases: None,
    },
    Known {
        name: "O2O coupon receipts",
        header: &["User_id", "Merchant_id", "Coupon_id", "Date_received"],
        map: "user=User_id,room=Merchant_id,coupon=Coupon_id,time=Date_received",
        purchases: None,
    },
];

impl Known {
    /// The data set that has such a header.
    pub(super) fn of(header: &Header) -> Option<&'static Self> {
        let has = |name: &&str| header.names().iter().any(|column| column == name);
        ALL.iter().find(|known| known.header.iter().all(has))
    }

    /// The meanings of its columns.
    pub(super) fn columns(&self) -> Columns {
        self.map.parse().unwrap_or_default()
    }

    /// The rows of it that are taken unless others are asked for.
    pub(super) fn condition(&self) -> Option<ColumnCondition> {
        self.purchases.and_then(|text| text.parse().ok())
    }

    /// The flags that say the same, for a note.
    pub(super) fn flags(&self) -> String {
        let purchases = self.purchases.map_or_else(String::new, |text| format!(" --where {text}"));
        format!("--map {}{purchases}", self.map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_data_set_has_the_columns_that_it_is_mapped_by() {
        for known in &ALL {
            let header = Header::of(known.header.iter().map(|name| name.as_bytes()));
            assert_eq!(Known::of(&header).map(|found| found.name), Some(known.name));
            assert!(header.places(&known.columns()).is_ok(), "{}", known.name);
            assert_eq!(known.condition().is_some(), known.purchases.is_some(), "{}", known.name);
        }
        assert!(Known::of(&Header::of([&b"user_id"[..], b"room_id"].into_iter())).is_none());
    }
}
