//! A set of ids that are mostly consecutive, as users' are: a hundred million of them take a few bytes.

use coupon_core::UserId;

/// Ids, as runs of consecutive ones.
#[derive(Debug, Default)]
pub(super) struct IdSet {
    /// First and last of each run, ascending.
    runs: Vec<(u64, u64)>,
}

impl IdSet {
    pub(super) fn contains(&self, id: UserId) -> bool {
        let id = id.get();
        let after = self.runs.partition_point(|(first, _)| *first <= id);
        after.checked_sub(1).and_then(|run| self.runs.get(run)).is_some_and(|(_, last)| id <= *last)
    }
}

impl FromIterator<UserId> for IdSet {
    /// Ids must come in ascending order.
    fn from_iter<I: IntoIterator<Item = UserId>>(ids: I) -> Self {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for id in ids {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == id.get() => *last += 1,
                _ => runs.push((id.get(), id.get())),
            }
        }
        Self { runs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_put_in_and_nothing_else() {
        let id = |id| UserId::new(id).unwrap();
        let set: IdSet = [1, 2, 3, 7, 9, 10].map(id).into_iter().collect();
        let held: Vec<u64> = (1..12).filter(|n| set.contains(id(*n))).collect();
        assert_eq!(held, [1, 2, 3, 7, 9, 10]);
        assert_eq!(set.runs.len(), 3);
        assert!(!IdSet::default().contains(id(1)));
    }
}
