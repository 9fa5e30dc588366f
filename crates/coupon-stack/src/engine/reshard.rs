//! A change of the engine's shards while it serves, as an operator would make it by hand.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use coupon_cli::terminal::{clear_progress, progress, say};
use coupon_core::KeyRange;

use super::Control;
use super::answers::Diff;
use super::group::Group;
use super::plan::{self, Found, Goal, Step, listed};
use crate::home::lock;
use crate::record::Record;
use crate::{Server, Stack};

/// The interval at which what takes time is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// The number of times that steps may fail in a row. A tablet that is new, or was killed, refuses some at first.
const FAILURES: u32 = 5;
/// The time that an action of vtctld's may take which somebody began who is gone: it ends by itself, or not at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Changes the shards of the engine in a stack's folder, on from wherever a change was cut short.
///
/// # Errors
/// When a step fails again and again, or a copy is not what it was made of.
pub(crate) fn reshard(dir: &Path, goal: Goal) -> Result<()> {
    let stack = Stack::attach(dir)?;
    let folder = stack.data_dir(Server::Vtctld)?.to_owned();
    ensure!(stack.pid(Server::Main).is_some(), "the stack in {} is not up", dir.display());
    let _alone =
        lock(&folder, Duration::ZERO).context("another change of the engine's shards is under way")?;
    let ran = stack.ensure_engine()?;
    let control = stack.control()?;
    // Others may have the stack in hand meanwhile.
    drop(stack);
    let mut change = ShardsChange { dir: dir.to_owned(), control, goal, begun: None, said: String::new() };
    change.free_locks(ran)?;
    change.run()
}

/// Says what [`reshard`] would do to come to these shards, a line each.
///
/// # Errors
/// When it could not.
pub(crate) fn dry_run(dir: &Path, shards: &[KeyRange]) -> Result<Vec<String>> {
    let control = Stack::attach(dir)?.control()?;
    let found = look(dir, &control)?;
    let first = plan::next(&found, &Goal::To { shards: shards.to_vec(), complete: true })?;
    let first =
        first.map_or_else(|| "nothing is left to do".to_owned(), |step| format!("first: {}", words(&step)));
    let mut lines = vec![format!("the shards are {}", listed(&found.serving())), first];
    // In a switch no shard may serve some of the ids; what comes after it is known once it is finished.
    let groups = plan::groups(&found, shards).unwrap_or_default();
    lines.extend(groups.iter().map(|Group { from, to }| {
        format!("{} become {}: tablets, copy, comparison, switch, end of the old", listed(from), listed(to))
    }));
    Ok(lines)
}

/// Looks at all that counts.
fn look(dir: &Path, control: &Control) -> Result<Found> {
    let record = Record::load(dir)?.with_context(|| format!("no stack in {}", dir.display()))?;
    let shards = control.shards()?;
    let all_lead = shards.iter().all(|shard| shard.has_primary);
    let workflows = if all_lead { control.workflows()? } else { Vec::new() };
    let tablets = record.tablets.context("this stack has no engine")?.all().to_vec();
    let servers = record.topology.shards;
    Ok(Found { shards, workflows, stopped: control.stopped()?, tablets, servers })
}

struct ShardsChange {
    dir: PathBuf,
    control: Control,
    goal: Goal,
    /// The comparison that was begun here.
    begun: Option<String>,
    /// The last line that was shown.
    said: String,
}

impl ShardsChange {
    /// Takes locks away that were left behind, which would last for a day. `ran`: vtctld, which holds them, did not end.
    fn free_locks(&self, ran: bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while ran && !self.control.locks()?.is_empty() && Instant::now() < deadline {
            progress("waiting for an earlier action to end");
            sleep(LOOK);
        }
        clear_progress();
        let left = self.control.locks()?;
        if ran && !left.is_empty() {
            // What holds them does not end by itself, and no other change uses it: they are made one at a time.
            let stack = Stack::attach(&self.dir)?;
            stack.kill(Server::Vtctld)?;
            stack.restart(Server::Vtctld)?;
        }
        for lock in &left {
            match self.control.free(lock) {
                Ok(()) => say(format!("freed a lock on {} that was left behind", lock.of)),
                Err(error) if self.control.locks()?.contains(lock) => return Err(error),
                // It ended just now.
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let mut failures = 0;
        loop {
            let step = self.step();
            clear_progress();
            match step {
                Ok(true) => failures = 0,
                Ok(false) => break,
                Err(failure) if failures + 1 == FAILURES => return Err(failure),
                Err(failure) => {
                    failures += 1;
                    progress(format!("trying again: {failure:#}"));
                    sleep(LOOK);
                }
            }
        }
        say(format!("the shards are {}", listed(&look(&self.dir, &self.control)?.serving())));
        Ok(())
    }

    /// Makes one step, if one is left.
    fn step(&mut self) -> Result<bool> {
        let found = look(&self.dir, &self.control)?;
        let Some(step) = plan::next(&found, &self.goal)? else { return Ok(false) };
        self.show(words(&step));
        match &step {
            Step::Tablets(ranges) => Stack::attach(&self.dir)?.add_tablets(ranges)?,
            Step::Create(group) => self.control.create(&plan::name(&found, group)?, group)?,
            Step::Start(copy) => {
                self.control.start(copy)?;
                sleep(LOOK);
            }
            Step::Wait(copy) => self.wait(copy)?,
            Step::Compare(copy) => self.compare(copy)?,
            Step::SwitchAgain(copy) | Step::SwitchBackAgain(copy) => self.control.switch(copy, true)?,
            Step::Complete(copy) => self.control.complete(copy)?,
            Step::Forget(copy, tablets) => {
                tablets.iter().try_for_each(|tablet| self.control.forget(copy, *tablet))?;
            }
            Step::SwitchBack(copy) => self.control.switch_back(copy)?,
            Step::Cancel(copy) => self.control.cancel(copy)?,
            Step::Remove(ranges) => self.remove(ranges, &found)?,
        }
        Ok(true)
    }

    /// Says what is done, once for each of its steps however often it is looked at.
    fn show(&mut self, line: String) {
        if self.said != line {
            clear_progress();
            say(&line);
            self.said = line;
        }
    }

    fn wait(&self, copy: &str) -> Result<()> {
        match self.control.copied(copy)? {
            Some((rows, of)) => progress(format!("about {rows} of {of} rows are copied")),
            None => progress("the copy catches up with what was written meanwhile"),
        }
        sleep(LOOK);
        Ok(())
    }

    /// Compares, and switches once there is no difference.
    fn compare(&mut self, copy: &str) -> Result<()> {
        let last = self.control.diff(copy)?;
        match last {
            Some(diff) if diff.state == "completed" && !diff.has_mismatch => {
                self.show(format!("{} rows agree; switching", diff.rows_compared));
                self.control.switch(copy, false)
            }
            Some(diff) if matches!(diff.state.as_str(), "completed" | "error") => self.failed(copy, &diff),
            Some(diff) if diff.state != "stopped" => {
                progress(format!("{} rows are compared", diff.rows_compared));
                sleep(LOOK);
                Ok(())
            }
            _ => self.begin_comparison(copy),
        }
    }

    /// Takes note of a comparison that failed: one of an earlier run is made again.
    fn failed(&mut self, copy: &str, diff: &Diff) -> Result<()> {
        if self.begun.as_ref() != Some(&diff.id) {
            return self.begin_comparison(copy);
        }
        ensure!(!diff.has_mismatch, "the copy {copy} is not what it was made of: see VDiff show {}", diff.id);
        let why = diff.errors.iter().map(|(shard, why)| format!("{shard}: {why}")).collect::<Vec<_>>();
        bail!("the comparison of {copy} failed: {}", why.join("; "))
    }

    fn begin_comparison(&mut self, copy: &str) -> Result<()> {
        self.begun = Some(self.control.compare(copy)?);
        Ok(())
    }

    fn remove(&self, ranges: &[KeyRange], found: &Found) -> Result<()> {
        Stack::attach(&self.dir)?.remove_tablets(ranges)?;
        let known = |range: &&KeyRange| found.shards.iter().any(|shard| shard.range == **range);
        ranges.iter().filter(known).try_for_each(|range| self.control.delete_shard(*range))
    }
}

/// A step as people read it.
fn words(step: &Step) -> String {
    match step {
        Step::Tablets(ranges) => format!("starting tablets for {}", listed(ranges)),
        Step::Create(Group { from, to }) => format!("beginning to copy {} to {}", listed(from), listed(to)),
        Step::Start(copy) => format!("letting {copy} go on"),
        Step::Wait(copy) => format!("copying ({copy})"),
        Step::Compare(copy) => format!("comparing the copy with what it was made of ({copy})"),
        Step::SwitchAgain(copy) => format!("finishing a switch that was cut short ({copy})"),
        Step::Complete(copy) => format!("letting go of the old shards ({copy})"),
        Step::Forget(copy, _) => format!("forgetting {copy}, whose old shards are gone"),
        Step::SwitchBack(copy) => format!("switching back ({copy})"),
        Step::SwitchBackAgain(copy) => format!("finishing a switch back that was cut short ({copy})"),
        Step::Cancel(copy) => format!("dropping the copy ({copy})"),
        Step::Remove(ranges) => format!("removing {}, which serve nothing", listed(ranges)),
    }
}
