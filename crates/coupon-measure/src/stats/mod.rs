//! Statistics over rounds.
//!
//! **The round is the unit.** Requests within a round share the machine's mood, so a million of them are no million
//! independent observations; rounds, interleaved in random order, nearly are. Every figure is therefore first made
//! for a round, and only then summarised over rounds.
//!
//! **Medians with order-statistic intervals.** With five to thirty rounds of skewed figures there is no reason to
//! trust a mean or a normal distribution. The interval between the k-th smallest and the k-th largest of n values
//! covers the true median with probability 1 − 2·P(Binomial(n, ½) < k), whatever the distribution; the values need
//! only be independent and alike. That is exact, needs no random numbers, and cannot claim more than the data hold
//! (a bootstrap of five values would). Source: J.-Y. Le Boudec, *Performance Evaluation of Computer and
//! Communication Systems*, EPFL Press 2010, on confidence intervals for the median; the test that it inverts is the
//! sign test (W. J. Conover, *Practical Nonparametric Statistics*, 3rd edition 1999).
//!
//! The narrowest such interval that reaches [`TARGET_LEVEL`] is taken. Five rounds cannot reach it: the interval
//! from the smallest to the largest of five covers 93.75 %. Every interval states its own level.
//!
//! **Comparisons are paired.** In one round all contestants get the same schedule, so the ratio of two contestants
//! is made within each round, which cancels what the round did to both, and the median of those ratios is judged.
//! A difference is called only when its interval excludes 1, the median ratio is at least [`RELEVANT_DIFFERENCE`] away from 1,
//! *and* chance alone would seldom make one as clear; with fewer than [`MIN_ROUNDS`] rounds there is no verdict.
//!
//! **Chance.** Equal contestants could change places in any round, so the logarithms of their ratios are symmetric about 0,
//! whatever the distribution of a round's figures is. From some ten rounds on that is all it takes: Wilcoxon's signed ranks are
//! exact then, and one round that went wrong does them no harm ([`ranks`]). Of fewer rounds no such test can be sure enough for
//! several comparisons (of five, all on one side is 6.25 %), and Student's t judges the logarithms ([`student`]): of symmetric
//! distributions, those with longer tails than the normal one make it err on the safe side (Y. Benjamini, *Is the t Test
//! Really Conservative When the Parent Distribution Is Long-Tailed?*, JASA 1983). Which of the two is decided by the numbers of
//! rounds and comparisons alone.
//!
//! **One question makes several comparisons**, of every two contestants by every metric that bears on it. They are corrected
//! together ([`judge_family`], Holm): that any of them calls a difference between equal contestants has a probability of
//! [`ERROR`] at most.
//!
//! **A series of runs** has places at which figures change ([`changes`]).

pub mod changes;
mod family;
mod median;
mod paired;
pub mod ranks;
pub mod shape;
pub mod student;

pub use family::{Comparison, ERROR, Judged, holm, judge_family};
pub use median::{Estimate, MIN_ROUNDS, TARGET_LEVEL, coverage, estimate};
pub use paired::{BEYOND, Judgement, Least, RELEVANT_DIFFERENCE, judge, judge_by, ratios};

#[cfg(test)]
mod simulated;
