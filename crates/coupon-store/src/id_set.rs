//! A set of ids that are mostly consecutive, as users' are: a hundred million of them take a few bytes.

use coupon_core::UserId;

/// Ids, as runs of consecutive ones.
#[derive(Debug, Clone, Default)]
pub struct IdSet {
    /// First and last of each run, ascending.
    runs: Vec<(u64, u64)>,
}

impl IdSet {
    pub(super) fn contains(&self, id: UserId) -> bool {
        let id = id.get();
        let after = self.runs.partition_point(|(first, _)| *first <= id);
        after.checked_sub(1).and_then(|run| self.runs.get(run)).is_some_and(|(_, last)| id <= *last)
    }

    /// The ids of either.
    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all = [&*self.runs, &*other.runs].concat();
        all.sort_unstable();
        let mut runs: Vec<(u64, u64)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match runs.last_mut() {
                Some((_, before)) if first <= before.saturating_add(1) => *before = last.max(*before),
                _ => runs.push((first, last)),
            }
        }
        Self { runs }
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
    fn the_union_holds_the_ids_of_either_in_as_few_runs_as_can_be() {
        let set = |ids: &[u64]| -> IdSet { ids.iter().map(|id| UserId::new(*id).unwrap()).collect() };
        let union = set(&[1, 2, 3, 9]).union(&set(&[2, 4, 7, 8, 12]));
        assert_eq!(union.runs, [(1, 4), (7, 9), (12, 12)]);
        assert_eq!(set(&[]).union(&set(&[5])).runs, [(5, 5)]);
    }

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
