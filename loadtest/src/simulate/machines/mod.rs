//! Shards on machines: how even machines are that hold several shards each, and what the loss of one costs.

mod counts;
mod deal;
mod render;
mod switched;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use anyhow::ensure;
use coupon_core::{RoomCounts, ShardId, ShardingStrategy};
use serde::Serialize;

use super::measure::Question;
use super::variants::{self, Variant};
use super::{SimulateOptions, measure, windows};
use counts::{Drawn, Rows, Unit};
use deal::Dealer;
pub use render::text;
pub use switched::Switched;

/// Shares are shown to a tenth of a percent: so many rows are enough, however many were asked for.
const MOST_ROWS: u64 = 1_000_000;

/// Everything found about machines.
#[derive(Debug, Clone, Serialize)]
pub struct MachineSimulation {
    /// The plan.
    pub options: SimulateOptions,
    /// The strength of each machine.
    pub weights: Vec<u32>,
    /// Rows that were routed for each strategy.
    pub rows: u64,
    /// One for each number of shards.
    pub cases: Vec<MachineCase>,
}

/// The findings for one number of shards.
#[derive(Debug, Clone, Serialize)]
pub struct MachineCase {
    /// The number of shards.
    pub shards: NonZeroU16,
    /// The number of them on each machine.
    pub held: Vec<usize>,
    /// One for each strategy and its cures.
    pub variants: Vec<MachineFinding>,
}

/// The findings for one strategy.
#[derive(Debug, Clone, Serialize)]
pub struct MachineFinding {
    /// Its name and cure.
    pub strategy: String,
    /// The evenness of machines.
    pub whole: Evenness,
    /// The loss of the machine that has the most for its strength of the rows written.
    pub loss: Loss,
}

/// The evenness of machines, each by its strength.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evenness {
    /// Of the rows written during one hour of a sale.
    pub written: MachineLoad,
    /// Of the rows stored.
    pub stored: MachineLoad,
}

/// The evenness of some work.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MachineLoad {
    /// The largest share of a machine ÷ its share of the strength; 1 is even.
    pub skew: f64,
    /// The machines that this is worth.
    pub effective_machines: f64,
}

/// The loss of a machine, with every shard on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Loss {
    /// The machine, from 0.
    pub machine: usize,
    /// The part of stored rows that was on it. As many must be brought back, and none need to move besides. Until they are, reads
    /// that are routed to the heirs miss them.
    pub rows: f64,
    /// The part of each kind of query that comes short while the machine is away.
    pub short: Vec<Short>,
    /// The machines that inherit, from 0, when its slots or tables are dealt to those that are left.
    pub heirs: Vec<usize>,
    /// The evenness of those that are left, afterwards.
    pub left: Evenness,
    /// The part of stored rows that reads miss when the shards that are left are numbered anew and nothing is moved;
    /// none where the strategy knows no such way.
    pub not_found_renumbered: Option<f64>,
    /// The part of each kind of query that misses rows when routing is switched and nothing is moved.
    pub switched: Vec<Switched>,
}

/// Queries of a kind that come short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Short {
    /// The kind of query.
    pub query: String,
    /// The part of them that visits a shard of the machine.
    pub part: f64,
}

/// Runs every case over machines of these strengths, and calls `progress` with what is being routed.
///
/// # Errors
/// When there are fewer than two machines, or fewer shards than machines.
pub fn run(
    options: SimulateOptions,
    weights: Vec<u32>,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<MachineSimulation> {
    ensure!(
        weights.len() > 1,
        "--machines must be 2 or more: of one machine, nothing is left when it is lost"
    );
    ensure!(weights.iter().all(|weight| *weight > 0), "--weights must be 1 or more each");
    let keys = options.keys();
    let rooms = RoomCounts { all: options.rooms, hot: options.hot_rooms };
    let rows = options.rows.min(MOST_ROWS);
    let drawn = Drawn { keys: &keys, windows: windows(options.days), rows, seed: options.seed };
    let mut cases = Vec::new();
    for &shards in &options.shards {
        ensure!(
            usize::from(shards.get()) >= weights.len(),
            "--shards {shards} are fewer than --machines {}: a machine would have none",
            weights.len()
        );
        let mut dealer = Dealer::new(weights.clone());
        let machines = Machines {
            of_shard: (0..shards.get()).filter_map(|_| dealer.next()).collect(),
            weights: weights.clone(),
        };
        let mut findings = Vec::new();
        for variant in variants::all(shards, options.spread, rooms)? {
            progress(&format!("{shards} shards on {} machines: {}", weights.len(), variant.name));
            findings.push(machines.examine(&variant, drawn)?);
        }
        cases.push(MachineCase { shards, held: machines.held(), variants: findings });
    }
    Ok(MachineSimulation { options, weights, rows, cases })
}

/// The machines, and the shards on them.
#[derive(Debug)]
struct Machines {
    weights: Vec<u32>,
    /// The machine of each shard.
    of_shard: Vec<usize>,
}

/// The rows of each machine.
type ByMachine = Vec<Rows>;

impl Machines {
    fn held(&self) -> Vec<usize> {
        let count = |machine| self.of_shard.iter().filter(|of| **of == machine).count();
        (0..self.weights.len()).map(count).collect()
    }

    fn of(&self, shard: ShardId) -> Option<usize> {
        self.of_shard.get(shard.index()).copied()
    }

    fn examine(&self, variant: &Variant, drawn: Drawn<'_>) -> anyhow::Result<MachineFinding> {
        let units = drawn.units(&*variant.strategy)?;
        let by_machine =
            self.rows(units.iter().filter_map(|((shard, _), rows)| Some((self.of(*shard)?, *rows))));
        let whole = evenness(&by_machine, &self.weights);
        let lost = self.hottest(&by_machine);
        Ok(MachineFinding {
            strategy: variant.name.clone(),
            whole,
            loss: self.loss(lost, &*variant.strategy, &units, drawn)?,
        })
    }

    fn rows(&self, parts: impl Iterator<Item = (usize, Rows)>) -> ByMachine {
        let mut by_machine = vec![Rows::default(); self.weights.len()];
        for (machine, rows) in parts {
            if let Some(sum) = by_machine.get_mut(machine) {
                sum.written += rows.written;
                sum.stored += rows.stored;
            }
        }
        by_machine
    }

    /// The machine that has the most of the writes for its strength.
    fn hottest(&self, by_machine: &ByMachine) -> usize {
        let loads = relative(by_machine.iter().map(|rows| rows.written), &self.weights);
        let hotter = |most: (usize, f64), (machine, load)| if load > most.1 { (machine, load) } else { most };
        loads.into_iter().enumerate().fold((0, 0.0), hotter).0
    }

    #[expect(clippy::cast_precision_loss, reason = "rows stay far below 2^53")]
    fn loss(
        &self,
        lost: usize,
        strategy: &dyn ShardingStrategy,
        units: &BTreeMap<(ShardId, Unit), Rows>,
        drawn: Drawn<'_>,
    ) -> anyhow::Result<Loss> {
        let mut weights = self.weights.clone();
        weights.iter_mut().skip(lost).take(1).for_each(|weight| *weight = 0);
        let mut dealer = Dealer::new(weights.clone());
        let (mut heirs, mut rows, mut all) = (BTreeSet::new(), 0, 0);
        let parts: Vec<(usize, Rows)> = units
            .iter()
            .filter_map(|((shard, _), of)| {
                all += of.stored;
                let home = self.of(*shard)?;
                if home != lost {
                    return Some((home, *of));
                }
                rows += of.stored;
                let heir = dealer.next()?;
                heirs.insert(heir);
                Some((heir, *of))
            })
            .collect();
        Ok(Loss {
            machine: lost,
            rows: rows as f64 / f64::max(all as f64, 1.0),
            short: self.short(lost, strategy, drawn)?,
            heirs: heirs.into_iter().collect(),
            left: evenness(&self.rows(parts.into_iter()), &weights),
            not_found_renumbered: self.renumbered(lost, strategy, drawn)?,
            switched: self.switched(lost, strategy, drawn)?,
        })
    }

    fn short(
        &self,
        lost: usize,
        strategy: &dyn ShardingStrategy,
        drawn: Drawn<'_>,
    ) -> anyhow::Result<Vec<Short>> {
        let visits = |asked: &Question| Ok(self.visits(lost, strategy, asked));
        let parts = measure::part_of_queries(drawn.keys, drawn.windows, drawn.seed, visits)?;
        Ok(parts.into_iter().map(|(query, part)| Short { query, part }).collect())
    }

    fn visits(&self, lost: usize, strategy: &dyn ShardingStrategy, asked: &Question) -> bool {
        let shards = strategy.plan(&asked.query).shards(strategy.shard_count().get());
        shards.iter().any(|shard| self.of(*shard) == Some(lost))
    }

    /// What reads miss when the strategy goes on over the shards that are left, in a numbering of theirs.
    fn renumbered(
        &self,
        lost: usize,
        strategy: &dyn ShardingStrategy,
        drawn: Drawn<'_>,
    ) -> anyhow::Result<Option<f64>> {
        let Some((by, left)) = self.numbered_anew(lost, strategy) else { return Ok(None) };
        drawn.not_found(strategy, &*by, &left).map(Some)
    }
}

fn evenness(by_machine: &ByMachine, weights: &[u32]) -> Evenness {
    Evenness {
        written: load(by_machine.iter().map(|rows| rows.written), weights),
        stored: load(by_machine.iter().map(|rows| rows.stored), weights),
    }
}

#[expect(clippy::cast_precision_loss, reason = "machines are few")]
fn load(work: impl Iterator<Item = u64>, weights: &[u32]) -> MachineLoad {
    let skew = relative(work, weights).into_iter().fold(0.0, f64::max);
    let machines = weights.iter().filter(|weight| **weight > 0).count() as f64;
    MachineLoad { skew, effective_machines: if skew > 0.0 { machines / skew } else { 0.0 } }
}

/// Each machine's share of some work ÷ its share of the strength; 0 for one without strength.
#[expect(clippy::cast_precision_loss, reason = "rows stay far below 2^53")]
fn relative(work: impl Iterator<Item = u64>, weights: &[u32]) -> Vec<f64> {
    let work: Vec<u64> = work.collect();
    let all = work.iter().sum::<u64>().max(1) as f64;
    let strength = weights.iter().copied().map(f64::from).sum::<f64>();
    let part = |(work, weight): (&u64, &u32)| match weight {
        0 => 0.0,
        weight => *work as f64 / all / (f64::from(*weight) / strength),
    };
    work.iter().zip(weights).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;

    fn case(shards: u16, weights: &[u32]) -> MachineCase {
        let options = SimulateOptions { rows: 30_000, ..options(shards, 1) };
        run(options, weights.to_vec(), &mut |_| ()).unwrap().cases.remove(0)
    }

    fn of(case: &MachineCase, strategy: &str) -> MachineFinding {
        case.variants.iter().find(|finding| finding.strategy == strategy).unwrap().clone()
    }

    fn close(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 0.03, "{found} is not {expected}");
    }

    fn short(loss: &Loss) -> Vec<f64> {
        loss.short.iter().map(|short| short.part).collect()
    }

    #[test]
    fn eight_shards_on_three_machines_are_worth_less_than_three() {
        let case = case(8, &[1, 1, 1]);
        assert_eq!(case.held, [3, 3, 2]);
        let hash = of(&case, "hash");
        close(hash.whole.written.skew, 3.0 / 8.0 * 3.0);
        close(hash.whole.written.effective_machines, 8.0 / 3.0);
        close(of(&case, "range-time").whole.written.skew, 3.0);
    }

    #[test]
    fn weights_that_divide_the_shards_make_machines_even() {
        let case = case(8, &[3, 3, 2]);
        assert_eq!(case.held, [3, 3, 2]);
        close(of(&case, "hash").whole.written.skew, 1.0);
    }

    #[test]
    fn a_lost_machine_of_hashed_shards_is_inherited_by_all_others_alike() {
        let loss = of(&case(8, &[1, 1, 1]), "hash").loss;
        let held = if loss.machine == 2 { 2.0 } else { 3.0 };
        close(loss.rows, held / 8.0);
        assert_eq!(loss.heirs, (0..3).filter(|machine| *machine != loss.machine).collect::<Vec<_>>());
        // The machine with three shards gets half of what is lost, like the one with two.
        close(loss.left.stored.skew, (3.0 + held / 2.0) / 8.0 * 2.0);
        // Few rows stay where a remainder of five looks for them.
        close(loss.not_found_renumbered.unwrap(), 0.875);
    }

    #[test]
    fn reads_come_short_where_they_visit_the_lost_machine() {
        let case = case(8, &[1, 1, 1, 1]);
        let hash = of(&case, "hash").loss;
        let parts = short(&hash);
        assert!((parts[0] - 0.25).abs() < 0.07, "{parts:?}");
        assert_eq!(parts[1..3], [1.0, 1.0]);
        let rooms = of(&case, "range-room").loss;
        let parts = short(&rooms);
        assert!(parts[0] == 1.0 && parts[1] > 0.6 && parts[1] < 0.85, "{parts:?}");
    }

    #[test]
    fn a_routing_that_is_switched_misses_what_is_lost_and_a_new_numbering_much_more() {
        let case = case(8, &[1, 1, 1, 1]);
        let switched = |name: &str, query: usize| of(&case, name).loss.switched[query].clone();
        let (users, by_id) = (switched("hash", 0), switched("hash", 3));
        assert!((users.dealt - 0.25).abs() < 0.07 && users.renumbered.unwrap() > 0.75, "{users:?}");
        // It is looked for everywhere, and found unless it is lost.
        assert!((by_id.dealt - 0.25).abs() < 0.07 && by_id.renumbered == Some(by_id.dealt), "{by_id:?}");
        assert_eq!(switched("hash", 1).dealt, 1.0);
        let rooms = switched("range-room", 1);
        assert!(rooms.dealt > 0.6 && rooms.dealt < 0.85, "{rooms:?}");
    }

    #[test]
    fn the_range_that_is_written_to_goes_to_one_heir() {
        let loss = of(&case(8, &[1, 1, 1, 1]), "range-time").loss;
        close(loss.left.written.skew, 3.0);
        assert_eq!(loss.heirs.len(), 3);
    }

    #[test]
    fn machines_without_shards_and_single_machines_are_refused() {
        let refused = |shards, weights: &[u32]| {
            run(options(shards, 1), weights.to_vec(), &mut |_| ()).unwrap_err().to_string()
        };
        assert!(refused(2, &[1, 1, 1]).contains("--shards 2 are fewer than --machines 3"));
        assert!(refused(4, &[1]).contains("--machines must be 2 or more"));
        assert!(refused(4, &[1, 0]).contains("--weights must be 1 or more"));
    }
}
