//! The primary key as a number: its leading columns of whole numbers beside each other, in the key's own order.

/// A key, or a place between two: so much of the leading columns as fits.
pub(super) type Place = u128;

/// A column of whole numbers.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    /// Its name, quoted.
    name: String,
    bits: u32,
    is_signed: bool,
}

impl Whole {
    /// The column, if it is one of whole numbers.
    pub(super) fn of(name: &str, kind: &str, is_signed: bool) -> Option<Self> {
        let bits = match kind {
            "tinyint" => 8,
            "smallint" => 16,
            "mediumint" => 24,
            "int" => 32,
            "bigint" => 64,
            _ => return None,
        };
        Some(Self { name: quoted(name), bits, is_signed })
    }

    const fn greatest(&self) -> u128 {
        (1 << self.bits) - 1
    }

    /// The distance from the least value to 0.
    const fn offset(&self) -> i128 {
        if self.is_signed { 1 << (self.bits - 1) } else { 0 }
    }

    fn value(&self, raw: u128) -> i128 {
        i128::try_from(raw).unwrap_or(i128::MAX) - self.offset()
    }
}

/// The leading columns of a primary key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    columns: Vec<Whole>,
    /// All columns of the primary key, as rows are ordered by them.
    all: Vec<String>,
}

impl Key {
    /// The key with these columns, each with what it is where it is a whole number; none if the first is not.
    pub(super) fn new(columns: Vec<(String, Option<Whole>)>) -> Option<Self> {
        let all = columns.iter().map(|(name, _)| quoted(name)).collect();
        let mut room = u128::BITS;
        let leading = columns.into_iter().map_while(|(_, whole)| {
            let whole = whole?;
            room = room.checked_sub(whole.bits)?;
            Some(whole)
        });
        let columns: Vec<Whole> = leading.collect();
        (!columns.is_empty()).then_some(Self { columns, all })
    }

    /// The place behind all others.
    pub(super) fn greatest(&self) -> Place {
        self.columns.iter().fold(0, |place, column| joined(place, column.bits, column.greatest()))
    }

    /// The place of a row with these values of the columns that are selected.
    pub(super) fn place(&self, values: &[Option<String>]) -> Option<Place> {
        let mut place = 0;
        for (column, value) in self.columns.iter().zip(values) {
            let value: i128 = value.as_deref()?.parse().ok()?;
            let raw = u128::try_from(value.checked_add(column.offset())?).ok()?;
            place = joined(place, column.bits, raw);
        }
        Some(place)
    }

    /// Its columns, to be selected.
    pub(super) fn selected(&self) -> String {
        let columns: Vec<&str> = self.columns.iter().map(|column| &*column.name).collect();
        columns.join(", ")
    }

    /// All columns in order, each with a suffix such as ` DESC`.
    pub(super) fn ordered(&self, suffix: &str) -> String {
        let columns: Vec<String> = self.all.iter().map(|column| format!("{column}{suffix}")).collect();
        columns.join(", ")
    }

    /// The bits behind each column but the last: a place without them is that of all rows with the same values so far.
    pub(super) fn shifts(&self) -> Vec<u32> {
        let behind = |number: usize| self.columns.iter().skip(number + 1).map(|column| column.bits).sum();
        (0..self.columns.len().saturating_sub(1)).map(behind).collect()
    }

    /// The condition for rows from one place to another, with both. It is spelt out column by column, since no server
    /// looks ranges of `(a, b) >= (1, 2)` up in an index.
    pub(super) fn within(&self, first: Place, last: Place) -> String {
        let (first, last) = (self.raw(first), self.raw(last));
        let sides: Vec<Side<'_>> = self.columns.iter().zip(first.into_iter().zip(last)).collect();
        let alike = sides.iter().take_while(|(_, (first, last))| first == last).count();
        let (same, apart) = sides.split_at_checked(alike).unwrap_or_default();
        let same = same.iter().map(|(column, (raw, _))| format!("{} = {}", column.name, column.value(*raw)));
        let ends = (!apart.is_empty()).then(|| [from(apart), to(apart)]);
        same.chain(ends.into_iter().flatten()).collect::<Vec<_>>().join(" AND ")
    }

    fn raw(&self, mut place: Place) -> Vec<u128> {
        let mut values: Vec<u128> = Vec::with_capacity(self.columns.len());
        for column in self.columns.iter().rev() {
            values.push(place & column.greatest());
            place = place.checked_shr(column.bits).unwrap_or_default();
        }
        values.reverse();
        values
    }
}

/// A column with the values of both ends of a range.
type Side<'a> = (&'a Whole, (u128, u128));

fn from(columns: &[Side<'_>]) -> String {
    let (is_least, first) = (|side: &Side<'_>| side.1.0 == 0, |side: &Side<'_>| side.0.value(side.1.0));
    beyond(columns, '>', &is_least, &first)
}

fn to(columns: &[Side<'_>]) -> String {
    let is_greatest = |side: &Side<'_>| side.1.1 == side.0.greatest();
    beyond(columns, '<', &is_greatest, &|side| side.0.value(side.1.1))
}

/// `(a > 1 OR (a = 1 AND b >= 2))`; columns that rule nothing out are left out.
fn beyond(
    columns: &[Side<'_>],
    sign: char,
    is_end: &dyn Fn(&Side<'_>) -> bool,
    value: &dyn Fn(&Side<'_>) -> i128,
) -> String {
    let Some((side, rest)) = columns.split_first() else { return String::new() };
    let (name, value_here) = (&side.0.name, value(side));
    if rest.iter().all(is_end) {
        return format!("{name} {sign}= {value_here}");
    }
    let behind = beyond(rest, sign, is_end, value);
    format!("({name} {sign} {value_here} OR ({name} = {value_here} AND {behind}))")
}

fn joined(place: Place, bits: u32, raw: u128) -> Place {
    place.checked_shl(bits).unwrap_or_default() | raw
}

/// A name in backticks.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::advise::database) fn key(columns: &[(&str, &str)]) -> Key {
        let column = |(name, kind): &(&str, &str)| ((*name).to_owned(), Whole::of(name, kind, true));
        Key::new(columns.iter().map(column).collect()).unwrap()
    }

    fn place(key: &Key, values: &[i64]) -> Place {
        let values: Vec<Option<String>> = values.iter().map(|value| Some(value.to_string())).collect();
        key.place(&values).unwrap()
    }

    #[test]
    fn places_have_the_order_of_the_key_whatever_the_signs() {
        let key = key(&[("a", "bigint"), ("b", "bigint")]);
        let rows = [[i64::MIN, i64::MIN], [-1, 5], [-1, 6], [0, -7], [0, 0], [3, i64::MAX], [i64::MAX; 2]];
        let places = rows.map(|row| place(&key, &row));
        assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
        assert_eq!((places[0], places[6], key.greatest()), (0, u128::MAX, u128::MAX));
        assert_eq!(key.shifts(), [64]);
        let unsigned = Key::new(vec![("a".to_owned(), Whole::of("a", "bigint", false))]).unwrap();
        let most = unsigned.place(&[Some(u64::MAX.to_string())]);
        assert_eq!((most, unsigned.greatest()), (Some(u128::from(u64::MAX)), u128::from(u64::MAX)));
    }

    #[test]
    fn a_range_is_spelt_out_column_by_column_and_says_no_more_than_it_must() {
        let two = key(&[("a", "int"), ("b", "int")]);
        let within = |first: [i64; 2], last: [i64; 2]| two.within(place(&two, &first), place(&two, &last));
        let (low, high) = (i64::from(i32::MIN), i64::from(i32::MAX));
        assert_eq!(within([7, 5], [7, 9]), "`a` = 7 AND `b` >= 5 AND `b` <= 9");
        assert_eq!(within([7, 5], [7, 5]), "`a` = 7 AND `b` = 5");
        assert_eq!(within([7, low], [9, high]), "`a` >= 7 AND `a` <= 9");
        assert_eq!(
            within([7, 5], [9, -1]),
            "(`a` > 7 OR (`a` = 7 AND `b` >= 5)) AND (`a` < 9 OR (`a` = 9 AND `b` <= -1))"
        );
    }

    #[test]
    fn columns_behind_one_that_is_no_whole_number_are_ordered_by_alone() {
        let key = key(&[("a", "int"), ("code", "varchar"), ("b", "int")]);
        assert_eq!(
            (key.selected(), key.ordered(" DESC")),
            ("`a`".into(), "`a` DESC, `code` DESC, `b` DESC".into())
        );
        assert!(Key::new(vec![("code".to_owned(), None)]).is_none());
    }
}
