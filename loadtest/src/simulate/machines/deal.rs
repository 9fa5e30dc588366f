//! Dealing things to machines, each by its strength.

/// Machines that things are dealt to, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Dealer {
    /// The strength of each machine; one of no strength gets nothing.
    weights: Vec<u32>,
    dealt: Vec<u64>,
}

impl Dealer {
    pub(super) fn new(weights: Vec<u32>) -> Self {
        Self { dealt: vec![0; weights.len()], weights }
    }

    /// The machine that gets the next: the one that has the least for its strength once it has it, the first of them if several
    /// have. Of machines that are all alike each gets its turn.
    pub(super) fn next(&mut self) -> Option<usize> {
        let able = self.weights.iter().zip(&self.dealt).enumerate().filter(|(_, (weight, _))| **weight > 0);
        // (dealt + 1) ÷ weight, compared without dividing.
        let (machine, _) = able.min_by(|(_, (weight, dealt)), (_, (other_weight, other_dealt))| {
            let mine = (*dealt + 1) * u64::from(**other_weight);
            mine.cmp(&((*other_dealt + 1) * u64::from(**weight)))
        })?;
        if let Some(dealt) = self.dealt.get_mut(machine) {
            *dealt += 1;
        }
        Some(machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(weights: &[u32], things: usize) -> Vec<usize> {
        let mut dealer = Dealer::new(weights.to_vec());
        (0..things).map(|_| dealer.next().unwrap()).collect()
    }

    #[test]
    fn machines_that_are_alike_get_one_after_the_other() {
        assert_eq!(dealt(&[1, 1, 1], 8), [0, 1, 2, 0, 1, 2, 0, 1]);
        assert_eq!(dealt(&[7, 7], 3), [0, 1, 0]);
    }

    #[test]
    fn a_machine_of_twice_the_strength_gets_twice_as_much() {
        let of = |machine, weights: &[u32]| dealt(weights, 80).iter().filter(|got| **got == machine).count();
        assert_eq!([0, 1, 2].map(|machine| of(machine, &[2, 1, 1])), [40, 20, 20]);
        assert_eq!([0, 1, 2].map(|machine| of(machine, &[0, 3, 1])), [0, 60, 20]);
    }

    #[test]
    fn no_machine_is_dealt_where_all_have_no_strength() {
        assert_eq!(Dealer::new(vec![0, 0]).next(), None);
    }
}
