//! What to do next of a change of shards, from what there is: so that it goes on wherever it was cut short.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use anyhow::{Result, bail, ensure};
use coupon_core::KeyRange;

use super::Tablet;
use super::answers::{Shard, Workflow};
use super::group::{self, Group};

/// The beginning of the names of copies that are made here. A tablet's number follows, which is used once.
const PREFIX: &str = "reshard_";
/// The end of the name of a copy that follows the other way.
const REVERSE: &str = "_reverse";
/// Vitess' message in a copy that was switched to.
const FROZEN: &str = "FROZEN";

/// All that counts.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) shards: Vec<Shard>,
    /// Empty while a shard has no primary: Vitess does not tell then.
    pub(crate) workflows: Vec<Workflow>,
    /// The shards that take no writes.
    pub(crate) stopped: Vec<KeyRange>,
    pub(crate) tablets: Vec<Tablet>,
    /// The number of database servers, which tablets share by their numbers.
    pub(crate) servers: NonZeroU16,
}

/// Where a change leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Goal {
    /// To these shards. Without `complete` the earlier ones stay, and follow.
    To { shards: Vec<KeyRange>, complete: bool },
    /// To the shards from which the copies were made that there are.
    Back,
}

/// A step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Give each of these shards a tablet.
    Tablets(Vec<KeyRange>),
    /// Begin to copy.
    Create(Group),
    /// Let a copy go on that was stopped.
    Start(String),
    /// Wait for the copy.
    Wait(String),
    /// Compare the copy with what it was made of, and switch to it if there is no difference.
    Compare(String),
    /// Finish a switch that was cut short.
    SwitchAgain(String),
    /// Let go of the shards that were copied from.
    Complete(String),
    /// Forget a copy whose other side is gone.
    Forget(String, Vec<Tablet>),
    /// Switch back to the shards that were copied from.
    SwitchBack(String),
    /// Finish a switch back that was cut short.
    SwitchBackAgain(String),
    /// Drop the copy.
    Cancel(String),
    /// Remove these shards, which serve nothing, and their tablets.
    Remove(Vec<KeyRange>),
}

/// How far a copy has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase<'a> {
    Copying,
    Stopped,
    Failed(&'a str),
    Copied,
    /// In a switch to it, or after one that was cut short.
    Switching,
    /// It serves.
    Switched,
    /// In a switch back, or after one that was cut short.
    SwitchingBack,
    /// It serves, and something that it was made of is gone.
    Alone,
}

impl Found {
    fn shard(&self, range: KeyRange) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.range == range)
    }

    fn serves(&self, range: KeyRange) -> bool {
        self.shard(range).is_some_and(|shard| shard.serves)
    }

    /// The shards that serve, in their order.
    pub(crate) fn serving(&self) -> Vec<KeyRange> {
        self.shards.iter().filter(|shard| shard.serves).map(|shard| shard.range).collect()
    }

    fn phase<'a>(&self, Workflow { from, to, streams, .. }: &'a Workflow) -> Phase<'a> {
        let all = |ranges: &[KeyRange], is: &dyn Fn(KeyRange) -> bool| ranges.iter().all(|range| is(*range));
        let takes_writes = |range| !self.stopped.contains(&range);
        let serves = |range| self.serves(range);
        if !all(from, &|range| self.shard(range).is_some()) {
            return Phase::Alone;
        }
        if !all(to, &takes_writes) {
            return Phase::SwitchingBack;
        }
        if !all(from, &takes_writes) {
            return Phase::Switching;
        }
        if all(to, &serves) {
            let frozen = streams.iter().all(|stream| stream.message == FROZEN);
            return if frozen { Phase::Switched } else { Phase::Switching };
        }
        if let Some(failed) = streams.iter().find(|stream| stream.state == "Error") {
            return Phase::Failed(&failed.message);
        }
        if streams.iter().any(|stream| stream.state == "Stopped") {
            return Phase::Stopped;
        }
        let follows = streams.iter().all(|stream| matches!(stream.state.as_str(), "Running" | "Lagging"));
        if follows { Phase::Copied } else { Phase::Copying }
    }

    fn tablets_of(&self, ranges: &[KeyRange]) -> Vec<Tablet> {
        self.tablets.iter().filter(|tablet| ranges.contains(&tablet.range)).copied().collect()
    }

    /// The shards that were made for a change and have no primary yet.
    fn begun(&self) -> Vec<KeyRange> {
        self.shards.iter().filter(|shard| !shard.has_primary).map(|shard| shard.range).collect()
    }

    fn is_copied(&self, range: KeyRange) -> bool {
        self.workflows.iter().any(|copy| copy.from.contains(&range) || copy.to.contains(&range))
    }

    /// The shards of tablets that are gone. Such a tablet has the rows of its time, and is never used again.
    fn gone(&self) -> Vec<KeyRange> {
        let ranges = self.tablets.iter().map(|tablet| tablet.range);
        ranges.filter(|range| self.shard(*range).is_none() && !self.is_copied(*range)).collect()
    }

    /// The shards that serve nothing and are in no copy.
    fn idle(&self) -> Vec<KeyRange> {
        let idle = self.shards.iter().filter(|shard| !shard.serves && !self.is_copied(shard.range));
        idle.map(|shard| shard.range).collect()
    }
}

/// The next step; nothing when there is none left.
///
/// # Errors
/// When a copy failed, or leads elsewhere, or one is wanted that cannot be.
pub(crate) fn next(found: &Found, goal: &Goal) -> Result<Option<Step>> {
    let wanted: &[KeyRange] = match goal {
        Goal::To { shards, .. } => shards,
        Goal::Back => &[],
    };
    let (begun, strays): (Vec<_>, Vec<_>) =
        found.begun().into_iter().partition(|range| wanted.contains(range));
    if !strays.is_empty() {
        return Ok(Some(Step::Remove(strays)));
    }
    if !begun.is_empty() {
        return Ok(Some(Step::Tablets(begun)));
    }
    let copies: Vec<&Workflow> =
        found.workflows.iter().filter(|copy| copy.name.starts_with(PREFIX)).collect();
    // A switch back makes the copy anew. In between there is only the other one.
    let forwards = |name: &str| copies.iter().any(|copy| copy.name == name);
    let mut reverse =
        copies.iter().filter(|copy| copy.name.strip_suffix(REVERSE).is_some_and(|name| !forwards(name)));
    if let Some(orphan) = reverse.find(|copy| found.phase(copy) != Phase::Alone) {
        return Ok(Some(Step::SwitchBackAgain(orphan.name.clone())));
    }
    for copy in copies.iter().filter(|copy| !copy.name.ends_with(REVERSE)) {
        let step = match goal {
            Goal::To { complete, .. } => forward(found, copy, wanted, *complete)?,
            Goal::Back => Some(back(found, copy)),
        };
        if step.is_some() {
            return Ok(step);
        }
    }
    let gone = found.gone();
    if !gone.is_empty() {
        return Ok(Some(Step::Remove(gone)));
    }
    if let Goal::To { shards, .. } = goal
        && let Some(group) = groups(found, shards)?.into_iter().next()
    {
        let new: Vec<_> = group.to.iter().copied().filter(|range| found.shard(*range).is_none()).collect();
        return Ok(Some(if new.is_empty() { Step::Create(group) } else { Step::Tablets(new) }));
    }
    let idle = found.idle();
    Ok((!idle.is_empty()).then_some(Step::Remove(idle)))
}

fn forward(found: &Found, copy: &Workflow, wanted: &[KeyRange], complete: bool) -> Result<Option<Step>> {
    let name = || copy.name.clone();
    let leads_there = copy.to.iter().all(|range| wanted.contains(range));
    let step = match found.phase(copy) {
        Phase::SwitchingBack => Step::SwitchBack(name()),
        Phase::Switching => Step::SwitchAgain(name()),
        Phase::Switched if complete => Step::Complete(name()),
        Phase::Switched => return Ok(None),
        Phase::Alone => alone(found, copy),
        _ if !leads_there => {
            bail!("a copy to the shards {} is under way: go on with it, or back", listed(&copy.to));
        }
        Phase::Failed(message) => bail!("the copy to {} failed: {message}", listed(&copy.to)),
        Phase::Stopped => Step::Start(name()),
        Phase::Copying => Step::Wait(name()),
        Phase::Copied => Step::Compare(name()),
    };
    Ok(Some(step))
}

fn back(found: &Found, copy: &Workflow) -> Step {
    let name = copy.name.clone();
    match found.phase(copy) {
        Phase::SwitchingBack | Phase::Switched => Step::SwitchBack(name),
        // Whether it has gone too far to be undone Vitess alone knows. It can be finished in any case, and then undone.
        Phase::Switching => Step::SwitchAgain(name),
        Phase::Alone => alone(found, copy),
        Phase::Copying | Phase::Stopped | Phase::Failed(_) | Phase::Copied => Step::Cancel(name),
    }
}

/// The end of a copy that Vitess knows no end of, since shards that it was made of are gone: those that are left go too.
fn alone(found: &Found, copy: &Workflow) -> Step {
    let left: Vec<_> = copy.from.iter().copied().filter(|range| found.shard(*range).is_some()).collect();
    if left.is_empty() {
        Step::Forget(copy.name.clone(), found.tablets_of(&copy.to))
    } else {
        Step::Remove(left)
    }
}

/// The groups by which the shards that serve become those that are wanted.
///
/// # Errors
/// When the shards that serve have not each id once. When two shards of one side of a group lie on one database server:
/// Vitess' journal of a switch is a row with the same key for each of them.
pub(crate) fn groups(found: &Found, wanted: &[KeyRange]) -> Result<Vec<Group>> {
    let serving = found.serving();
    ensure!(
        KeyRange::have_all_ids(&serving),
        "the shards that serve are {}, and not all there are",
        listed(&serving)
    );
    let (groups, servers) = (group::groups(&serving, wanted), found.servers);
    for Group { from, to } in &groups {
        let apart = |side: &[KeyRange]| {
            let on: BTreeSet<u16> =
                found.tablets_of(side).into_iter().map(|tablet| tablet.number % servers).collect();
            on.len() == found.tablets_of(side).len() && side.len() <= usize::from(servers.get())
        };
        // Those that have no tablets yet get some whose numbers follow each other.
        ensure!(
            apart(from) && apart(to),
            "{} cannot become {}: two of them lie on one of the {servers} database servers, which Vitess does not allow. \
             It takes a stack of more `--shards`",
            listed(from),
            listed(to)
        );
    }
    Ok(groups)
}

/// A copy's name, from the number of its first tablet.
pub(crate) fn name(found: &Found, Group { to, .. }: &Group) -> Result<String> {
    let first = found.tablets_of(to).into_iter().map(|tablet| tablet.number).min();
    ensure!(first.is_some(), "the shards {} have no tablets", listed(to));
    Ok(format!("{PREFIX}{}", first.unwrap_or_default()))
}

/// Ranges as people read them.
pub(crate) fn listed(ranges: &[KeyRange]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::answers::Stream;

    fn ranges(names: &str) -> Vec<KeyRange> {
        names.split_ascii_whitespace().map(|name| name.parse().unwrap()).collect()
    }

    /// Shards that serve, and others that do not; a tablet for each, numbered in this order.
    fn found(serving: &str, others: &str) -> Found {
        let shard = |serves| move |range| Shard { range, serves, has_primary: true };
        let shards = ranges(serving).into_iter().map(shard(true));
        let shards: Vec<_> = shards.chain(ranges(others).into_iter().map(shard(false))).collect();
        let tablets = shards.iter().zip(0..).map(|(shard, number)| Tablet { number, range: shard.range });
        let (tablets, servers) = (tablets.collect(), NonZeroU16::new(4).unwrap());
        Found { tablets, servers, shards, workflows: Vec::new(), stopped: Vec::new() }
    }

    fn copy(name: &str, from: &str, to: &str, state: &str, message: &str) -> Workflow {
        let stream = Stream { state: state.to_owned(), message: message.to_owned() };
        let streams = vec![stream; 2];
        Workflow { name: name.to_owned(), from: ranges(from), to: ranges(to), streams }
    }

    fn to(shards: &str) -> Goal {
        Goal::To { shards: ranges(shards), complete: true }
    }

    fn step(found: &Found, goal: &Goal) -> Option<Step> {
        next(found, goal).unwrap()
    }

    const NAME: &str = "reshard_2";

    /// One copy of -80 into two, as far as it says.
    fn copying(serving: &str, others: &str, state: &str, message: &str) -> Found {
        Found { workflows: vec![copy(NAME, "-80", "-40 40-80", state, message)], ..found(serving, others) }
    }

    #[test]
    fn a_change_goes_step_by_step_from_nothing_to_its_end() {
        let goal = to("-40 40-80 80-");
        let name = || NAME.to_owned();
        let tablets = Step::Tablets(ranges("-40 40-80"));
        assert_eq!(step(&found("-80 80-", ""), &goal), Some(tablets));
        let begun = Group { from: ranges("-80"), to: ranges("-40 40-80") };
        assert_eq!(step(&found("-80 80-", "-40 40-80"), &goal), Some(Step::Create(begun)));
        let before = |state, message| step(&copying("-80 80-", "-40 40-80", state, message), &goal);
        assert_eq!(before("Copying", ""), Some(Step::Wait(name())));
        assert_eq!(before("Stopped", ""), Some(Step::Start(name())));
        assert_eq!(before("Running", ""), Some(Step::Compare(name())));
        let after = |state, message| step(&copying("-40 40-80 80-", "-80", state, message), &goal);
        assert_eq!(after("Stopped", "stopped for cutover"), Some(Step::SwitchAgain(name())));
        assert_eq!(after("Stopped", FROZEN), Some(Step::Complete(name())));
        let completed =
            Found { tablets: found("-40 40-80 80-", "-80").tablets, ..found("-40 40-80 80-", "") };
        assert_eq!(step(&completed, &goal), Some(Step::Remove(ranges("-80"))), "its tablet");
        assert_eq!(step(&found("-40 40-80 80-", ""), &goal), None);
    }

    #[test]
    fn a_tablet_of_a_shard_that_is_gone_is_not_used_again() {
        let left = Found { tablets: found("-40 40-80 80-", "-80").tablets, ..found("-40 40-80 80-", "") };
        assert_eq!(step(&left, &to("-80 80-")), Some(Step::Remove(ranges("-80"))));
    }

    #[test]
    fn a_shard_that_was_only_begun_is_finished_or_removed() {
        let mut begun = found("-80 80-", "-40");
        begun.shards.iter_mut().filter(|shard| !shard.serves).for_each(|shard| shard.has_primary = false);
        assert_eq!(step(&begun, &to("-40 40-80 80-")), Some(Step::Tablets(ranges("-40"))));
        assert_eq!(step(&begun, &to("-20 20-80 80-")), Some(Step::Remove(ranges("-40"))));
        assert_eq!(step(&begun, &Goal::Back), Some(Step::Remove(ranges("-40"))));
    }

    #[test]
    fn a_switch_that_was_cut_short_is_finished_first() {
        let goal = to("-40 40-80 80-");
        let mut before = copying("-80 80-", "-40 40-80", "Stopped", "stopped for cutover");
        before.stopped = ranges("-80");
        for goal in [&goal, &Goal::Back] {
            assert_eq!(step(&before, goal), Some(Step::SwitchAgain(NAME.to_owned())));
        }
        let mut between = copying("80-", "-80 -40 40-80", "Stopped", "stopped for cutover");
        between.stopped = ranges("-80");
        assert_eq!(step(&between, &goal), Some(Step::SwitchAgain(NAME.to_owned())), "nobody serves");
        let mut back = copying("-40 40-80 80-", "-80", "Stopped", FROZEN);
        back.stopped = ranges("-40 40-80");
        for goal in [&goal, &Goal::Back] {
            assert_eq!(step(&back, goal), Some(Step::SwitchBack(NAME.to_owned())));
        }
    }

    #[test]
    fn a_copy_that_is_being_made_anew_is_switched_back_to() {
        let name = format!("{NAME}{REVERSE}");
        let reverse = copy(&name, "-40 40-80", "-80", "Stopped", "stopped for cutover");
        let alone = Found { workflows: vec![reverse.clone()], ..found("-40 40-80 80-", "-80") };
        assert_eq!(step(&alone, &Goal::Back), Some(Step::SwitchBackAgain(name)));
        let mut both = copying("-40 40-80 80-", "-80", "Stopped", FROZEN);
        both.workflows.push(reverse);
        assert_eq!(step(&both, &Goal::Back), Some(Step::SwitchBack(NAME.to_owned())));
    }

    #[test]
    fn back_drops_what_does_not_serve_and_then_its_shards() {
        for (state, message) in [("Copying", ""), ("Running", ""), ("Stopped", ""), ("Error", "no room")] {
            let found = copying("-80 80-", "-40 40-80", state, message);
            assert_eq!(step(&found, &Goal::Back), Some(Step::Cancel(NAME.to_owned())), "{state}");
        }
        let cancelled = found("-80 80-", "-40 40-80");
        assert_eq!(step(&cancelled, &Goal::Back), Some(Step::Remove(ranges("-40 40-80"))));
        assert_eq!(step(&found("-80 80-", ""), &Goal::Back), None);
    }

    #[test]
    fn the_way_back_is_kept_where_that_is_wanted() {
        let goal = Goal::To { shards: ranges("-40 40-80 80-"), complete: false };
        assert_eq!(step(&copying("-40 40-80 80-", "-80", "Stopped", FROZEN), &goal), None);
    }

    #[test]
    fn an_end_that_was_cut_short_is_finished() {
        let goal = to("-40 40-80");
        let copy = || vec![copy(NAME, "-20 20-40", "-40", "Stopped", FROZEN)];
        let half = Found { workflows: copy(), ..found("-40 40-", "20-40") };
        assert_eq!(step(&half, &goal), Some(Step::Remove(ranges("20-40"))));
        let all = Found { workflows: copy(), ..found("-40 40-", "") };
        let tablet = Tablet { number: 0, range: ranges("-40")[0] };
        assert_eq!(step(&all, &goal), Some(Step::Forget(NAME.to_owned(), vec![tablet])));
    }

    #[test]
    fn a_copy_that_failed_or_leads_elsewhere_is_named() {
        let error = |state, message, goal: &Goal| {
            next(&copying("-80 80-", "-40 40-80", state, message), goal).unwrap_err().to_string()
        };
        let failed = error("Error", "no room", &to("-40 40-80 80-"));
        assert!(failed.contains("-40, 40-80") && failed.contains("no room"), "{failed}");
        let elsewhere = error("Running", "", &to("-20 20-80 80-"));
        assert!(elsewhere.contains("-40, 40-80"), "{elsewhere}");
    }

    #[test]
    fn ids_that_nobody_serves_stop_a_change() {
        assert!(next(&found("-80", ""), &to("-40 40-80 80-")).is_err());
    }

    #[test]
    fn one_database_server_has_no_two_shards_of_a_side() {
        let check = |servers, shards| {
            let servers = NonZeroU16::new(servers).unwrap();
            let four = Found { servers, ..found("-40 40-80 80-c0 c0-", "") };
            groups(&four, &KeyRange::equal(NonZeroU16::new(shards).unwrap()).unwrap())
        };
        assert_eq!(check(4, 8).unwrap().len(), 4);
        assert_eq!(check(2, 8).unwrap().len(), 4);
        assert!(check(1, 8).is_err());
        assert_eq!(check(4, 1).unwrap().len(), 1);
        let error = check(3, 1).unwrap_err().to_string();
        assert!(error.contains("-40, 40-80, 80-c0, c0- cannot become -"), "{error}");
    }

    #[test]
    fn a_copy_is_named_after_a_tablet_that_no_other_one_has() {
        let found = found("-80 80-", "-40 40-80");
        let group = Group { from: ranges("-80"), to: ranges("-40 40-80") };
        assert_eq!(name(&found, &group).unwrap(), "reshard_2");
        assert!(name(&found, &Group { to: ranges("-20 20-40"), ..group }).is_err());
    }
}
