//! Ids that exist, in little space: most are consecutive.

/// A set of ids, as ranges.
#[derive(Debug, Clone, Default)]
pub(super) struct Ids(Vec<(i64, i64)>);

impl Ids {
    /// Adds the next id: they come in ascending order.
    pub(super) fn push(&mut self, id: i64) {
        match self.0.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
            _ => self.0.push((id, id)),
        }
    }

    /// True if an id is one of them.
    pub(super) fn contains(&self, id: i64) -> bool {
        let after = self.0.partition_point(|&(first, _)| first <= id);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|&(_, last)| id <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_whether_they_are_consecutive_or_not() {
        let mut ids = Ids::default();
        [1, 2, 3, 7, 8, i64::MAX].into_iter().for_each(|id| ids.push(id));
        let found: Vec<i64> = (0..=10).filter(|id| ids.contains(*id)).collect();
        assert_eq!((found, ids.contains(i64::MAX)), (vec![1, 2, 3, 7, 8], true));
    }
}
