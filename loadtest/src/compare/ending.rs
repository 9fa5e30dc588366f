//! The ending of a comparison.

/// The ending of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every round was audited, every promise kept as far as the data could be read, and every limit as well.
    Kept,
    /// The load generator or its connections were the limit, so that rates and times say nothing of a contestant.
    LoadLimited,
    /// A figure was not what was required of it; the promises were kept.
    BeyondLimit,
    /// A contestant broke a promise.
    Violated,
    /// The data of a contestant that was started here could not be audited.
    NotAudited,
}

impl Ending {
    /// The worse of two.
    pub(super) const fn or_worse(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Kept => 0,
            Self::LoadLimited => 1,
            Self::BeyondLimit => 2,
            Self::NotAudited => 3,
            Self::Violated => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_outweighs_a_missing_audit() {
        assert_eq!(Ending::NotAudited.or_worse(Ending::Violated), Ending::Violated);
        assert_eq!(Ending::Violated.or_worse(Ending::NotAudited), Ending::Violated);
        assert_eq!(Ending::Kept.or_worse(Ending::NotAudited), Ending::NotAudited);
        assert_eq!(Ending::NotAudited.or_worse(Ending::BeyondLimit), Ending::NotAudited);
        assert_eq!(Ending::Kept.or_worse(Ending::BeyondLimit), Ending::BeyondLimit);
        assert_eq!(Ending::LoadLimited.or_worse(Ending::BeyondLimit), Ending::BeyondLimit);
        assert_eq!(Ending::LoadLimited.or_worse(Ending::Kept), Ending::LoadLimited);
    }
}
