//! Groups of shards that become others together.

use coupon_core::KeyRange;

/// Shards that become others of the same ids together, and of no fewer ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) from: Vec<KeyRange>,
    pub(crate) to: Vec<KeyRange>,
}

/// The groups by which shards become others, without those that stay as they are. Both are given in their order, and
/// have all ids.
pub(crate) fn groups(from: &[KeyRange], to: &[KeyRange]) -> Vec<Group> {
    let (mut from, mut to) = (from.iter().copied(), to.iter().copied());
    let mut groups = Vec::new();
    while let Some(first) = from.next() {
        let mut group = Group { from: vec![first], to: Vec::new() };
        let (mut left, mut right) = (first.end(), first.start());
        while left != right {
            let (side, shards, end) = if left < right {
                (&mut from, &mut group.from, &mut left)
            } else {
                (&mut to, &mut group.to, &mut right)
            };
            let Some(next) = side.next() else { break };
            *end = next.end();
            shards.push(next);
        }
        groups.push(group);
    }
    groups.retain(|group| group.from != group.to);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(names: &str) -> Vec<KeyRange> {
        names.split(' ').map(|name| name.parse().unwrap()).collect()
    }

    fn told(from: &str, to: &str) -> Vec<String> {
        let name = |ranges: &[KeyRange]| ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let groups = groups(&ranges(from), &ranges(to));
        groups.iter().map(|group| format!("{} to {}", name(&group.from), name(&group.to))).collect()
    }

    #[test]
    fn shards_become_others_by_groups_that_share_no_id() {
        assert_eq!(told("-80 80-", "-40 40-80 80-c0 c0-"), ["-80 to -40 40-80", "80- to 80-c0 c0-"]);
        assert_eq!(told("-40 40-80 80-c0 c0-", "-80 80-"), ["-40 40-80 to -80", "80-c0 c0- to 80-"]);
        assert_eq!(told("-40 40-80 80-", "-40 40-80 80-c0 c0-"), ["80- to 80-c0 c0-"]);
        assert_eq!(told("-40 40-60 60-80 80-", "-80 80-"), ["-40 40-60 60-80 to -80"]);
        assert_eq!(told("-40 40-", "-80 80-"), ["-40 40- to -80 80-"]);
        assert!(told("-80 80-", "-80 80-").is_empty());
    }
}
