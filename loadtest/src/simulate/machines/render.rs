//! The findings about machines as tables for a terminal of 80 columns.

use coupon_measure::Table;
use coupon_measure::format::{count, percent};

use super::super::render::title;
use super::{Evenness, MachineCase, MachineFinding, MachineSimulation, Switched};

/// The width of a terminal.
const COLUMNS: usize = 80;
/// The number of kinds of queries that are shown: a user's, a room's, the latest.
const QUERIES: usize = 3;
/// … and of those by a routing that was switched: one result by its id as well.
const SWITCHED: usize = 4;
/// So many heirs are named.
const HEIRS: usize = 3;

/// Everything found, for people.
#[must_use]
pub fn text(simulation: &MachineSimulation) -> String {
    let mut out = introduction(simulation);
    for case in &simulation.cases {
        let machines = case.held.len();
        out.push_str(&title(&format!(
            "{} shards on {machines} machines",
            count(u64::from(case.shards.get()))
        )));
        out.push_str(&format!(
            "{} shards on each, for machines of strength {}.\n\n",
            listed(&case.held),
            listed(&simulation.weights)
        ));
        for table in [evenness(case), short(case), heirs(case), switched(case), renumbered(case)] {
            for line in table.fitted(COLUMNS) {
                out.push_str(&line);
                out.push('\n');
            }
            out.push('\n');
        }
    }
    out
}

fn introduction(simulation: &MachineSimulation) -> String {
    format!(
        "Routing only: {} rows a strategy. written: the rows of one hour of a sale.\n\
         stored: the rows of {} days. skew: the largest share of a machine over its\n\
         share of the strength; 1 is even. worth: how many such machines that is.\n\
         \n\
         Lost is, for each strategy, the machine that is written to the most.\n\
         short: queries that visit a shard of it, and come short while it is away.\n\
         its rows: to be brought back, and all that has to move, when its slots or\n\
         tables are dealt to the heirs. Routing that is switched to them before misses\n\
         as many. renumbered: what is missed when the shards left are numbered anew.\n\
         switched, numbered anew: queries that miss rows then, by kind.\n",
        count(simulation.rows),
        simulation.options.days,
    )
}

fn listed<T: ToString>(parts: &[T]) -> String {
    parts.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn evenness(case: &MachineCase) -> Table {
    let mut table = Table::new(["machines", "written: skew", "worth", "stored: skew", "worth"]);
    for finding in &case.variants {
        let Evenness { written, stored } = finding.whole;
        let figures = [written.skew, written.effective_machines, stored.skew, stored.effective_machines];
        let figures = figures.map(|figure| format!("{figure:.2}"));
        table.row(std::iter::once(finding.strategy.clone()).chain(figures));
    }
    table
}

fn short(case: &MachineCase) -> Table {
    let queries = case.variants.first().map(|finding| finding.loss.short.as_slice()).unwrap_or_default();
    let names = queries.iter().take(QUERIES).map(|short| short.query.clone());
    let mut table = Table::new(["short".to_owned(), "lost".to_owned()].into_iter().chain(names));
    for MachineFinding { strategy, loss, .. } in &case.variants {
        let parts = loss.short.iter().take(QUERIES).map(|short| percent(short.part));
        table.row([strategy.clone(), loss.machine.to_string()].into_iter().chain(parts));
    }
    table
}

fn heirs(case: &MachineCase) -> Table {
    let head = ["inherited", "its rows", "heirs", "written: skew", "stored: skew", "renumbered"];
    let mut table = Table::new(head);
    for MachineFinding { strategy, loss, .. } in &case.variants {
        let renumbered = loss.not_found_renumbered.map_or_else(|| "n/a".to_owned(), percent);
        table.row([
            strategy.clone(),
            percent(loss.rows),
            heirs_of(&loss.heirs),
            format!("{:.2}", loss.left.written.skew),
            format!("{:.2}", loss.left.stored.skew),
            renumbered,
        ]);
    }
    table
}

/// Machines by their numbers, the first of them if they are many.
fn heirs_of(heirs: &[usize]) -> String {
    let named = heirs.iter().take(HEIRS).map(ToString::to_string).collect::<Vec<_>>().join(" ");
    match heirs.len().saturating_sub(HEIRS) {
        0 => named,
        more => format!("{named} +{more}"),
    }
}

fn switched(case: &MachineCase) -> Table {
    by_kind(case, "switched", |switched| percent(switched.dealt))
}

fn renumbered(case: &MachineCase) -> Table {
    by_kind(case, "numbered anew", |switched| switched.renumbered.map_or_else(|| "n/a".to_owned(), percent))
}

fn by_kind(case: &MachineCase, head: &str, figure: impl Fn(&Switched) -> String) -> Table {
    let kinds = case.variants.first().map(|finding| finding.loss.switched.as_slice()).unwrap_or_default();
    // The name as a whole would not fit.
    let names = kinds.iter().take(SWITCHED).map(|switched| switched.query.replace("result id", "id"));
    let mut table = Table::new(std::iter::once(head.to_owned()).chain(names));
    for MachineFinding { strategy, loss, .. } in &case.variants {
        let parts = loss.switched.iter().take(SWITCHED).map(&figure);
        table.row(std::iter::once(strategy.clone()).chain(parts));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::options;
    use super::super::{SimulateOptions, run};
    use super::*;

    #[test]
    fn tables_fit_a_terminal_of_80_columns() {
        let options = SimulateOptions { rows: 2_000, ..options(8, 1) };
        let text = text(&run(options, vec![2, 1, 1], &mut |_| ()).unwrap());
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
        assert!(text.contains("4, 2, 2 shards on each, for machines of strength 2, 1, 1."), "{text}");
        assert!(text.contains("range-time+spread 4"), "{text}");
        assert_eq!(heirs_of(&[0, 2]), "0 2");
        assert_eq!(heirs_of(&[0, 1, 2, 4, 5]), "0 1 2 +2");
    }
}
