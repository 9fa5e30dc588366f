//! Coupons that are made and changed.

use super::record::{ColumnValue, Differences, OnOffer};
use super::{Refused, check};
use crate::books::{Stock, TotalLine, retotal};
use crate::{Coupon, CouponDetails, CouponId, CouponKind, CouponStatus, GrabTerms, Money, RoomId, Timestamp};

/// The wide half's last field where none was given.
const NO_RANGE: &str = "{}";

/// A coupon to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the columns of `coupons`, described in schema/")]
pub struct NewCoupon {
    pub coupon_id: CouponId,
    pub room_id: RoomId,
    pub coupon_name: String,
    pub coupon_type: CouponKind,
    pub discount_amount: Option<Money>,
    /// In percent.
    pub discount_rate: Option<u8>,
    pub min_purchase: Money,
    pub total_stock: u32,
    pub start_time: Timestamp,
    pub end_time: Timestamp,
    pub status: CouponStatus,
    pub terms: GrabTerms,
    /// The wide half, of the same coupon.
    pub details: Option<CouponDetails>,
}

/// A coupon's row in main, and its wide half, as a change finds it or leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CouponRow {
    /// The narrow half. Of its stock [`Self::stock`] has the last word: this one is as people see it.
    pub coupon: Coupon,
    /// The wide half, if it has one.
    pub details: Option<CouponDetails>,
    /// Its stock, as the columns have it.
    pub stock: Stock,
}

impl CouponRow {
    fn on_offer(&self) -> OnOffer {
        let Coupon { start_time, end_time, status, terms, .. } = self.coupon;
        let (total_stock, user_limit) = (self.stock.total, terms.user_limit);
        OnOffer { total_stock, start_time, end_time, status, user_limit }
    }
}

/// The fields of a coupon that a change writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CouponWrite {
    /// The row from now on.
    pub row: CouponRow,
    /// The columns of `coupons` that a changed coupon has other values in, by name: whatever else people wrote into its row
    /// stays. None of a new one.
    pub columns: Vec<(&'static str, ColumnValue)>,
    /// The line of its stock log, where its stock changes.
    pub line: Option<TotalLine>,
    /// The terms that it was on offer for until now; none of a new one.
    pub before: Option<OnOffer>,
    /// The words for it in the record of changes.
    pub what: String,
}

impl NewCoupon {
    pub(super) fn check(&self) -> Result<(), Refused> {
        let row = self.row(Timestamp::default());
        check_row(&row)?;
        let details = self.details.as_ref().is_none_or(|details| details.coupon_id == self.coupon_id);
        check::holds("details", details, || format!("must be those of coupon {}", self.coupon_id))
    }

    fn row(&self, now: Timestamp) -> CouponRow {
        let coupon = Coupon {
            coupon_id: self.coupon_id,
            room_id: self.room_id,
            coupon_name: self.coupon_name.clone(),
            coupon_type: self.coupon_type,
            discount_amount: self.discount_amount,
            discount_rate: self.discount_rate,
            min_purchase: self.min_purchase,
            total_stock: self.total_stock,
            remaining_stock: self.total_stock,
            sold: 0,
            start_time: self.start_time,
            end_time: self.end_time,
            create_time: now,
            update_time: now,
            status: self.status,
            terms: self.terms,
        };
        let total = i64::from(self.total_stock);
        let stock = Stock { total, remaining: total, ..Stock::default() };
        CouponRow { coupon, details: self.details.clone(), stock }
    }

    /// The write for a coupon that does not exist yet.
    #[must_use]
    pub fn write(&self, now: Timestamp) -> CouponWrite {
        let row = self.row(now);
        let line = TotalLine::of_new(row.stock.total);
        let what = format!(
            "coupon {} made in room {}: {}, total_stock {}",
            self.coupon_id, self.room_id, self.coupon_name, self.total_stock
        );
        CouponWrite { row, columns: Vec::new(), line: Some(line), before: None, what }
    }

    /// Says whether a coupon that is there was made by the same request.
    ///
    /// # Errors
    /// [`Refused::Conflict`] when it differs in what can be asked for.
    pub fn is(&self, there: &CouponRow) -> Result<(), Refused> {
        let (id, other) = (self.coupon_id, self.other_fields(there).join(", "));
        if other.is_empty() {
            return Ok(());
        }
        Err(Refused::Conflict(format!(
            "there is a coupon {id} already, and it differs in {other}: change that one, by PATCH, or choose another coupon_id"
        )))
    }

    /// The fields that a coupon which is there has otherwise.
    fn other_fields(&self, there: &CouponRow) -> Vec<&'static str> {
        let Self {
            coupon_id: _,
            room_id,
            coupon_name,
            coupon_type,
            discount_amount,
            discount_rate,
            min_purchase,
            total_stock,
            start_time,
            end_time,
            status,
            terms: GrabTerms { hold_s, user_limit, returnable },
            details,
        } = self;
        let Coupon { terms, .. } = &there.coupon;
        let same = [
            ("room_id", *room_id == there.coupon.room_id),
            ("coupon_name", *coupon_name == there.coupon.coupon_name),
            ("coupon_type", *coupon_type == there.coupon.coupon_type),
            ("discount_amount", *discount_amount == there.coupon.discount_amount),
            ("discount_rate", *discount_rate == there.coupon.discount_rate),
            ("min_purchase", *min_purchase == there.coupon.min_purchase),
            ("total_stock", *total_stock == there.coupon.total_stock),
            ("start_time", *start_time == there.coupon.start_time),
            ("end_time", *end_time == there.coupon.end_time),
            ("status", *status == there.coupon.status),
            ("hold_s", *hold_s == terms.hold_s),
            ("user_limit", *user_limit == terms.user_limit),
            ("returnable", *returnable == terms.returnable),
            ("details", same_details(details.as_ref(), there.details.as_ref())),
        ];
        same.into_iter().filter(|(_, same)| !same).map(|(field, _)| field).collect()
    }
}

/// A change of a coupon: each field that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are the columns of `coupons` and `coupon_details`, described in schema/"
)]
pub struct CouponPatch {
    pub coupon_name: Option<String>,
    pub discount_amount: Option<Money>,
    pub discount_rate: Option<u8>,
    pub min_purchase: Option<Money>,
    pub total_stock: Option<u32>,
    pub start_time: Option<Timestamp>,
    pub end_time: Option<Timestamp>,
    pub status: Option<CouponStatus>,
    pub hold_s: Option<u32>,
    pub user_limit: Option<u8>,
    pub returnable: Option<bool>,
    pub description: Option<String>,
    pub usage_rules: Option<String>,
    pub product_range: Option<String>,
}

impl CouponPatch {
    /// The withdrawal of a coupon.
    #[must_use]
    pub fn withdrawal() -> Self {
        Self { status: Some(CouponStatus::Inactive), ..Self::default() }
    }

    /// Checks each field by itself; together with the rest of the row they are checked where they are applied.
    pub(super) fn check(&self) -> Result<(), Refused> {
        let each = |field, amount: Option<Money>| amount.map_or(Ok(()), |amount| check::money(field, amount));
        each("discount_amount", self.discount_amount)?;
        each("min_purchase", self.min_purchase)?;
        check_total(self.total_stock.map_or(0, i64::from))?;
        let GrabTerms { hold_s, user_limit, .. } = GrabTerms::default();
        check_terms(self.hold_s.unwrap_or(hold_s), self.user_limit.unwrap_or(user_limit))?;
        self.discount_rate.map_or(Ok(()), check_rate)?;
        if let Some(name) = &self.coupon_name {
            check::name("coupon_name", name, 128)?;
        }
        for (field, text) in [("description", &self.description), ("usage_rules", &self.usage_rules)] {
            text.as_ref().map_or(Ok(()), |text| check::long_text(field, text))?;
        }
        self.product_range.as_ref().map_or(Ok(()), |text| check::json("product_range", text))
    }

    /// The write for a coupon that is there; `None` where it is so already.
    ///
    /// # Errors
    /// [`Refused`] when the row would not make sense with it, or makes none already.
    pub fn write(&self, there: &CouponRow, now: Timestamp) -> Result<Option<CouponWrite>, Refused> {
        let (mut row, mut differences) = (there.clone(), Differences::default());
        self.change_narrow(&mut row.coupon, &mut differences);
        self.change_wide(&mut row, &mut differences);
        let line = self.change_stock(&mut row, &mut differences)?;
        if differences.is_empty() {
            return Ok(None);
        }
        row.coupon.update_time = row.coupon.update_time.max(now);
        self.check_together(&row)?;
        let (what, mut columns) = (differences.words(), differences.columns);
        columns.push(("update_time", ColumnValue::Number(row.coupon.update_time.millis())));
        Ok(Some(CouponWrite { row, columns, line, before: Some(there.on_offer()), what }))
    }

    /// True if it moves the end of a coupon that is over to a time that has not come. One whose results have been archived
    /// stays over: [`Refused::archived`].
    #[must_use]
    pub fn reopens(&self, there: &CouponRow, now: Timestamp) -> bool {
        there.coupon.end_time <= now && self.end_time.is_some_and(|end| end > now)
    }

    fn change_narrow(&self, coupon: &mut Coupon, differences: &mut Differences) {
        let text = |text: &String| (text.clone(), ColumnValue::Text(text.clone()));
        let amount = |amount: &Money| (amount.to_string(), ColumnValue::Amount(*amount));
        let some_amount = |some: &Option<Money>| some.as_ref().map_or_else(none, amount);
        let rate = |rate: &Option<u8>| rate.map_or_else(none, number);
        let time = |time: &Timestamp| (time.to_string(), ColumnValue::Number(time.millis()));
        let status = |status: &CouponStatus| number(status.code());
        let given = (self.discount_amount.map(Some), self.discount_rate.map(Some));
        differences.set("coupon_name", &mut coupon.coupon_name, self.coupon_name.as_ref(), text);
        differences.set("discount_amount", &mut coupon.discount_amount, given.0.as_ref(), some_amount);
        differences.set("discount_rate", &mut coupon.discount_rate, given.1.as_ref(), rate);
        differences.set("min_purchase", &mut coupon.min_purchase, self.min_purchase.as_ref(), amount);
        differences.set("start_time", &mut coupon.start_time, self.start_time.as_ref(), time);
        differences.set("end_time", &mut coupon.end_time, self.end_time.as_ref(), time);
        differences.set("status", &mut coupon.status, self.status.as_ref(), status);
        let GrabTerms { hold_s, user_limit, returnable } = &mut coupon.terms;
        differences.set("hold_s", hold_s, self.hold_s.as_ref(), |hold_s| number(*hold_s));
        differences.set("user_limit", user_limit, self.user_limit.as_ref(), |limit| number(*limit));
        differences.set("returnable", returnable, self.returnable.as_ref(), |returnable| number(*returnable));
    }

    fn change_wide(&self, row: &mut CouponRow, differences: &mut Differences) {
        let Self { description, usage_rules, product_range, .. } = self;
        if [description, usage_rules, product_range].iter().all(|field| field.is_none()) {
            return;
        }
        let details = row.details.get_or_insert_with(|| CouponDetails {
            coupon_id: row.coupon.coupon_id,
            description: String::new(),
            usage_rules: String::new(),
            product_range: NO_RANGE.to_owned(),
        });
        differences.set_long("description", &mut details.description, description.as_ref());
        differences.set_long("usage_rules", &mut details.usage_rules, usage_rules.as_ref());
        let other = product_range.as_ref().filter(|range| !check::same_json(range, &details.product_range));
        differences.set_long("product_range", &mut details.product_range, other);
    }

    fn change_stock(
        &self,
        row: &mut CouponRow,
        differences: &mut Differences,
    ) -> Result<Option<TotalLine>, Refused> {
        let Some(total) = self.total_stock.filter(|total| i64::from(*total) != row.stock.total) else {
            return Ok(None);
        };
        let nonsense = |why| Refused::Conflict(format!("coupon {}: {why}", row.coupon.coupon_id));
        let (after, line) = retotal(row.stock, i64::from(total)).map_err(nonsense)?;
        differences.set("total_stock", &mut row.stock.total, Some(&after.total), |total| number(*total));
        for (column, value) in [("remaining_stock", after.remaining), ("taken_back", after.taken_back)] {
            differences.columns.push((column, ColumnValue::Number(value)));
        }
        row.coupon.total_stock = total;
        row.coupon.remaining_stock = u32::try_from(after.remaining).unwrap_or(0);
        row.stock = after;
        Ok(Some(line))
    }

    /// Checks what depends on several fields, where one of these is given: what was so before is not this change's fault.
    fn check_together(&self, row: &CouponRow) -> Result<(), Refused> {
        if self.end_time.is_some() {
            check_window(&row.coupon)?;
        } else if self.start_time.is_some() {
            let Coupon { start_time, end_time, .. } = row.coupon;
            let before = || format!("must be before end_time, which is {end_time}");
            check::holds("start_time", start_time < end_time, before)?;
        }
        if self.discount_amount.is_some() || self.discount_rate.is_some() {
            check_discount(&row.coupon)?;
            check_no_other_discount(row.coupon.coupon_type, self.discount_amount, self.discount_rate)?;
        }
        Ok(())
    }
}

fn same_details(one: Option<&CouponDetails>, other: Option<&CouponDetails>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
    let product_range = other.product_range.clone();
    check::same_json(&one.product_range, &product_range)
        && CouponDetails { product_range, ..one.clone() } == *other
}

/// A number in words, and as a column holds it.
fn number(number: impl Into<i64>) -> (String, ColumnValue) {
    let number = number.into();
    (number.to_string(), ColumnValue::Number(number))
}

fn none() -> (String, ColumnValue) {
    ("none".to_owned(), ColumnValue::Number(0))
}

fn check_row(row: &CouponRow) -> Result<(), Refused> {
    let Coupon { coupon_name, coupon_type, discount_amount, discount_rate, min_purchase, terms, .. } =
        &row.coupon;
    check::name("coupon_name", coupon_name, 128)?;
    discount_amount.map_or(Ok(()), |amount| check::money("discount_amount", amount))?;
    check::money("min_purchase", *min_purchase)?;
    check_window(&row.coupon)?;
    check_discount(&row.coupon)?;
    check_no_other_discount(*coupon_type, *discount_amount, *discount_rate)?;
    check_total(row.stock.total)?;
    check_terms(terms.hold_s, terms.user_limit)?;
    let Some(details) = &row.details else { return Ok(()) };
    check::long_text("description", &details.description)?;
    check::long_text("usage_rules", &details.usage_rules)?;
    check::json("product_range", &details.product_range)
}

fn check_window(coupon: &Coupon) -> Result<(), Refused> {
    let Coupon { start_time, end_time, .. } = coupon;
    check::holds("end_time", start_time < end_time, || {
        format!("must be after start_time, which is {start_time}")
    })
}

fn check_discount(coupon: &Coupon) -> Result<(), Refused> {
    let Coupon { coupon_type, discount_amount, discount_rate, .. } = coupon;
    match coupon_type {
        CouponKind::AmountOff | CouponKind::NoThreshold => {
            let some = discount_amount.is_some_and(|amount| amount.cents() > 0);
            check::holds("discount_amount", some, || "must be above 0 for this coupon_type".to_owned())
        }
        CouponKind::Percentage => check_rate(discount_rate.unwrap_or(0)),
    }
}

/// Refuses a discount that a coupon of this type does not give.
fn check_no_other_discount(kind: CouponKind, amount: Option<Money>, rate: Option<u8>) -> Result<(), Refused> {
    let (field, given) = match kind {
        CouponKind::AmountOff | CouponKind::NoThreshold => ("discount_rate", rate.is_some()),
        CouponKind::Percentage => ("discount_amount", amount.is_some()),
    };
    check::holds(field, !given, || format!("must be left out: coupon_type {} has none", kind.code()))
}

fn check_rate(rate: u8) -> Result<(), Refused> {
    check::holds("discount_rate", (1..=100).contains(&rate), || "must be from 1 to 100".to_owned())
}

fn check_total(total: i64) -> Result<(), Refused> {
    let most = Stock::MAX;
    check::holds("total_stock", (0..=most).contains(&total), || format!("must be from 0 to {most}"))
}

fn check_terms(hold_s: u32, user_limit: u8) -> Result<(), Refused> {
    let longest = GrabTerms::HOLD_S_MAX;
    check::holds("hold_s", hold_s <= longest, || format!("must be from 0 to {longest}, thirty days"))?;
    let most = GrabTerms::USER_LIMIT_MAX;
    check::holds("user_limit", (1..=most).contains(&user_limit), || format!("must be from 1 to {most}"))
}
