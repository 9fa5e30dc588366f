//! The parts of a sale as tables for a terminal of 80 columns.

use coupon_cli::screen::fill;
use coupon_measure::Table;
use coupon_measure::format::{count, counted, number};

use super::{Sale, SalePlan, SaleSizes};
use crate::simulate::title;

/// The width of a terminal.
const COLUMNS: usize = 80;

/// The sizes side by side, and the last of them in full, for people.
#[must_use]
pub fn text(sized: &SaleSizes) -> String {
    let cores = sized.on.cores.show(|cores| counted((*cores).into(), "core"));
    let cpu = sized.on.cpu.show(Clone::clone);
    let day = sized.measured.get(..10).unwrap_or(&sized.measured);
    let mut out = told(&format!(
        "On paper, from the costs that were measured on {day}, with {cores} of {cpu}. What is assumed comes last, by option."
    ));
    if sized.plans.len() > 1 {
        out.push_str(&title("As it grows"));
        out.push_str(&table(&growth(&sized.plans)));
    }
    if let Some(plan) = sized.plans.last() {
        out.push_str(&title(&format!("{} grabs/s", count(plan.grabs))));
        out.push_str(&table(&parts(plan)));
        out.push('\n');
        paragraphs(plan, &sized.sale).iter().for_each(|paragraph| out.push_str(&told(paragraph)));
        out.push('\n');
        out.push_str(&table(&costs(plan)));
    }
    out.push('\n');
    out.push_str(&table(&assumptions(&sized.sale)));
    out
}

fn told(text: &str) -> String {
    fill("", text, 2, COLUMNS).iter().map(|line| line.clone() + "\n").collect()
}

fn table(table: &Table) -> String {
    table.fitted(COLUMNS).iter().map(|line| line.clone() + "\n").collect()
}

fn parts(plan: &SalePlan) -> Table {
    let mut table =
        Table::new(["first full", "one takes, grabs/s", "needed", "cores busy", "machines", "MB/s"]);
    let megabytes = |bytes: f64| number(bytes / 1e6);
    for part in &plan.parts {
        let takes = part.one_takes.map_or_else(|| "n/a".to_owned(), number);
        let machines = part.machines.map_or([const { String::new() }; 3], |machines| {
            [number(machines.cores), count(machines.number), megabytes(machines.bytes)]
        });
        table.row([part.name.to_owned(), takes, count(part.needed)].into_iter().chain(machines));
    }
    let bytes: f64 = plan.parts.iter().filter_map(|part| part.machines).map(|machines| machines.bytes).sum();
    table.row(["all", "", "", &number(plan.cores), &count(plan.machines), &megabytes(bytes)]);
    table
}

fn paragraphs(plan: &SalePlan, sale: &Sale) -> Vec<String> {
    let machines = format!("{} of {}", counted(plan.machines, "machine"), counted(sale.cores.into(), "core"));
    let batches = plan.batch_ms.map(|milliseconds| {
        format!(
            "A batch, of one worker for one gate: {}, within {} ms. A message, of one batch for one shard: {} rows.",
            counted(plan.batch as u64, "grab"),
            number(milliseconds),
            number(plan.rows_a_message)
        )
    });
    let euros = match plan.euros_an_hour {
        Some(euros) => format!("{machines} cost {euros:.2} euros an hour."),
        None => format!("{machines}; --core-hour says what they cost."),
    };
    let queued = (plan.queued_rows > 0.0).then(|| {
        let bytes = plan.queued_rows * sale.row_bytes as f64 / 1e6;
        format!(
            "The queues grow by {} rows/s, {} MB/s on each node that has them.",
            number(plan.queued_rows),
            number(bytes)
        )
    });
    let limits = plan.limits.iter().map(|limit| format!("No number is enough for {limit}."));
    batches.into_iter().chain([euros]).chain(queued).chain(limits).collect()
}

fn costs(plan: &SalePlan) -> Table {
    let mut table = Table::new(["measured (µs are of CPU)", "", "by"]).right(1..2);
    for cost in &plan.costs {
        table.row([cost.what, &format!("{} {}", number(cost.value), cost.unit), cost.from]);
    }
    table
}

fn growth(plans: &[SalePlan]) -> Table {
    const PARTS: [&str; 4] = ["service", "gate", "RabbitMQ", "shard"];
    let mut table =
        Table::new(["grabs/s", "batch"].into_iter().chain(PARTS).chain(["machines", "cores busy"]));
    for plan in plans {
        let needed = |name| plan.parts.iter().find(|part| part.name == name).map_or(0, |part| part.needed);
        let numbers =
            [plan.grabs, plan.batch as u64].into_iter().chain(PARTS.map(needed)).chain([plan.machines]);
        table.row(numbers.map(count).chain([number(plan.cores)]));
    }
    table
}

fn assumptions(sale: &Sale) -> Table {
    let mut table = Table::new(["assumed", "", "option"]).right(1..2);
    for (what, value, option) in sale.assumptions() {
        table.row([what, &value, option]);
    }
    table
}
