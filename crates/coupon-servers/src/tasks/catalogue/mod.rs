//! Follows main's catalogue: asks for its version four times a second, reads what changed, brings the gate to it, and notes in
//! main by which version this process goes.
//!
//! The process that makes a change brings the gate to it; should it be gone before, any other does so, since each has brought the
//! gate to what it knows itself. People change main by hand as well: all of it is read every ten seconds, and what differs
//! becomes a change of its own, which every process then follows.

mod enforce;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use coupon_core::{CouponId, GateCount, PerGate, Versioned};
use coupon_store::VersionRecord;
use coupon_store::layouts::Previous;
use coupon_store::outage::TaskOutage;
use coupon_store::set_aside::{Place, SetAside, number};
use coupon_store::terms::Terms;
use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

pub(super) use self::enforce::deadline;
use super::background::Background;
use super::handles::GateHandle;
use crate::gate::Epoch;
use crate::layouts::receiving;
use crate::seam::{Edit, LIVES_MS, News};

/// The time between two questions for the version.
const EVERY: Duration = Duration::from_millis(250);
/// The wait after a look that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// The time between two readings of everything.
const WHOLE: Duration = Duration::from_secs(10);
/// The time after which this process notes in main again that it lives.
const TELLS: Duration = Duration::from_secs(1);
/// The time for which a process relies on what main said last. Changes wait for it as long at least: it noted that it lives at
/// most [`TELLS`] before.
pub(crate) const RELIES: Duration = Duration::from_millis(LIVES_MS.cast_unsigned()).saturating_sub(TELLS);
/// The most changes by hand that are recorded at once: operators wait meanwhile.
const EDITS: usize = 500;
/// The time between two looks while something is waited for.
const LOOK: Duration = Duration::from_millis(25);

/// The changes that this process has followed so far.
#[derive(Default)]
pub(crate) struct Followed {
    /// Every coupon's terms, once they were read.
    terms: Option<BTreeMap<CouponId, Terms>>,
    /// The versions of the layout, as they were last read.
    layouts: Vec<VersionRecord>,
    /// The version of the catalogue that this process still goes by, since it cannot go by the versions of the layout that were
    /// read after it.
    held_back: Option<u64>,
    /// Lists of versions that are not gone by any more, and do not lead to where rows begin to move.
    before: Vec<Previous>,
    /// The moment when all of them were read.
    read: Option<Instant>,
    /// What each gate was brought to.
    gates: PerGate<BroughtTo>,
    /// The version that this process last noted in main, and when.
    told: Option<(u64, Instant)>,
}

/// What this process has brought a gate to.
#[derive(Default)]
struct BroughtTo {
    /// The epoch that was brought to a version, and that version.
    done: Option<(u64, u64)>,
    /// The coupons that this epoch lacks, until they are added with their holders.
    lacking: BTreeMap<CouponId, Terms>,
}

/// The catalogue, as this process follows it: one look after the other.
pub(crate) struct Following(Mutex<Followed>);

impl Following {
    /// Of a process that has followed nothing yet, with so many gates.
    pub(crate) fn new(gates: GateCount) -> Self {
        Self(Mutex::new(Followed { gates: gates.each(|_| BroughtTo::default()), ..Followed::default() }))
    }
}

impl Background {
    /// Follows the catalogue for as long as the process lives.
    pub(super) async fn follow_the_catalogue(self: Arc<Self>) {
        // Shards are asked for the holders of what is added, which may take long: nothing else that changes waits for it.
        let added = self.gates.iter().map(|gate| self.add_what_lacks(gate));
        tokio::join!(self.follow(), join_all(added), self.hear_the_gate());
    }

    async fn follow(&self) {
        let outage =
            TaskOutage::new("the catalogue is not followed; tried again", "the catalogue is followed again");
        while !self.signals.stopping() {
            let open = self.open_epochs();
            let looked = self.following.0.lock().await.look(self, &open).await;
            outage.tried(&looked);
            tokio::time::sleep(if looked.is_ok() { EVERY } else { AGAIN }).await;
        }
    }

    async fn add_what_lacks(&self, gate: &GateHandle) {
        let outage = TaskOutage::new(
            "coupons are added to the gate later; nobody can grab them until then",
            "what is on offer is in the gate again",
        );
        while !self.signals.stopping() {
            if let Some(epoch) = gate.epoch.open() {
                outage.tried(&self.add_lacking(&epoch).await);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Adds to an epoch of the gate the coupons that it lacks, with their holders.
    async fn add_lacking(&self, epoch: &Epoch) -> anyhow::Result<()> {
        let (version, terms) = self.following.0.lock().await.lacking_in(epoch);
        if !terms.is_empty() {
            self.add(epoch, version, &terms).await?;
            self.following.0.lock().await.were_added(epoch, &terms);
        }
        Ok(())
    }

    /// Goes by what there is now, and has main know that this process lives: no change after that is made without it.
    pub(crate) async fn begin_to_follow(&self) -> anyhow::Result<()> {
        let mut followed = self.following.0.lock().await;
        followed.tell(self, self.offered.version()).await?;
        followed.look(self, &[]).await
    }

    /// Follows what there is now, and brings these epochs of the gates to it.
    pub(super) async fn follow_now(&self, epochs: &[Arc<Epoch>]) -> anyhow::Result<()> {
        self.following.0.lock().await.look(self, epochs).await
    }

    /// Makes sure that main holds the data set that this process was started on: the catalogue of another is not followed.
    async fn is_of_this_data_set(&self) -> anyhow::Result<()> {
        let (dataset, _) = self.main.record().await?;
        ensure!(dataset.as_ref() == Some(&self.dataset), "{} holds another data set now", self.main.name());
        Ok(())
    }
}

impl Followed {
    /// Looks once, and brings epochs of the gates to what there is.
    async fn look(&mut self, background: &Background, epochs: &[Arc<Epoch>]) -> anyhow::Result<()> {
        let (main, asked) = (&background.main, Instant::now());
        let known = background.offered.version();
        let still = self.goes_by(known);
        let mut version = main.version().await?;
        if version < known {
            // Main was put back. What the gate has by later versions is not to be relied on, and neither is what this
            // process knows.
            background.layouts.was_asked(asked.into_std(), false);
            main.note_put_back().await?;
            background.gates.iter().for_each(|gate| gate.epoch.suspect());
        }
        let news = if version == known && !self.reads_everything(asked) {
            None
        } else {
            background.is_of_this_data_set().await?;
            let read = self.read(background, (known, version), asked);
            let news = alive_during(background, still, read).await?;
            version = news.version;
            Some(news)
        };
        let changed = news.as_ref().map(|news| self.changed(news)).unwrap_or_default();
        let layouts = news.as_ref().map_or_else(|| self.layouts.clone(), |news| news.layouts.clone());
        // A version that this process does not know, or has too few shards for, is not gone by: the gate refuses this process
        // what it places. Everything else is followed all the same.
        let versions = if layouts == self.layouts && self.held_back.is_none() {
            Ok(None)
        } else {
            background.gone_by(&layouts).map(Some)
        };
        let forgotten = versions.is_err() && background.forgotten(&layouts).is_some();
        // Where main has forgotten a version of the layout by which this process goes, the gates are left as they are: they may
        // know that version.
        let brought = if epochs.is_empty() || forgotten {
            Ok(())
        } else {
            let bring = self.bring(background, epochs, (known, version), &changed, &layouts);
            alive_during(background, still, bring).await
        };
        let cannot_go_by = self.swap(background, versions, known).err();
        self.layouts = layouts;
        // Rows begin to move once the processes have noted in main that they go by this version: by then no reader goes by a list
        // that does not lead to where the rows go.
        while self.before.iter().any(Previous::is_in_use) {
            alive_during(background, still, tokio::time::sleep(LOOK)).await;
        }
        self.before.clear();
        if let Some(news) = news {
            set_aside(&background.offered.set_aside, &news);
            self.go_by(background, news, &changed);
        }
        self.tell(background, self.goes_by(version)).await?;
        background.offered.was_current(asked);
        background.layouts.was_asked(asked.into_std(), cannot_go_by.is_none());
        brought.and(cannot_go_by.map_or(Ok(()), Err))
    }

    /// Swaps in the versions of the layout, if they are others. Where this process cannot go by them, it is held back
    /// at the version of the catalogue that it knew.
    fn swap(
        &mut self,
        background: &Background,
        versions: anyhow::Result<Option<Versioned>>,
        known: u64,
    ) -> anyhow::Result<()> {
        match versions {
            Ok(Some(versions)) => {
                let begins = background.layouts.look(|before| receiving(before) < receiving(&versions));
                let before = background.layouts.swap(versions);
                self.before.extend(Some(before).filter(|_| begins));
                self.held_back = None;
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => {
                self.held_back.get_or_insert(known);
                Err(error)
            }
        }
    }

    /// The version that this process goes by altogether, where it follows this one as far as it can: an earlier one while it is
    /// held back, also by a main that was put back.
    fn goes_by(&self, version: u64) -> u64 {
        self.held_back.map_or(version, |before| before.min(version.saturating_sub(1)))
    }

    fn reads_everything(&self, now: Instant) -> bool {
        self.terms.is_none() || self.read.is_none_or(|read| now >= read + WHOLE)
    }

    /// Reads what changed since the version that is known or, where that is none, all coupons and rooms, to find what people
    /// changed in main. Users are read by changes alone.
    async fn read(
        &mut self,
        background: &Background,
        (known, version): (u64, u64),
        asked: Instant,
    ) -> anyhow::Result<News> {
        if self.terms.is_some() && version != known {
            return Ok(background.main.news(Some(known)).await?);
        }
        let everything = background.main.news(None).await?;
        if everything.version == known {
            self.read = Some(asked);
            return self.without_edits(background, known, everything).await;
        }
        // Something was changed since the version was asked for.
        let since = background.main.news(Some(known)).await?;
        if self.terms.is_some() {
            // What people changed beside it is found, and recorded, when everything is read the next time.
            return Ok(since);
        }
        self.read = Some(asked);
        Ok(News { users: since.users, ..everything })
    }

    /// Records what people changed in main, where everything was read at a version that was known: what is left is to be
    /// followed like any other change.
    async fn without_edits(
        &mut self,
        background: &Background,
        known: u64,
        news: News,
    ) -> anyhow::Result<News> {
        if self.terms.is_none() {
            return Ok(news);
        }
        let now = background.time.mains();
        let before = |after: &Terms| self.terms.as_ref()?.get(&after.coupon).copied();
        let edited = |after: &Terms| {
            let before = before(after)?;
            let concerns = before.over_from() > now || after.over_from() > now;
            let what = before.differences(after)?;
            concerns.then_some(Edit { before, total: after.total, what })
        };
        let edits: Vec<Edit> = self.changed(&news).iter().filter_map(edited).take(EDITS).collect();
        if edits.is_empty() {
            return Ok(news);
        }
        if edits.len() == EDITS {
            // There may be more of them: the next look reads everything again.
            self.read = None;
        }
        for Edit { before, what, .. } in &edits {
            tracing::info!(coupon = %before.coupon, what, "a person changed this coupon in the main database");
        }
        background.main.record_edits(known, &edits).await?;
        Ok(background.main.news(Some(known)).await?)
    }

    /// The terms that differ from what was known. A coupon that was deleted is not on offer any more.
    fn changed(&self, news: &News) -> Vec<Terms> {
        let known = |coupon: &CouponId| self.terms.as_ref().and_then(|terms| terms.get(coupon)).copied();
        let differs = |terms: &&Terms| known(&terms.coupon).as_ref() != Some(*terms);
        let mut changed: Vec<Terms> = news.terms.iter().filter(differs).copied().collect();
        let withdrawn = |terms: Terms| terms.active.then_some(Terms { active: false, ..terms });
        let deleted = news.deleted.iter().filter_map(known);
        if news.whole {
            let there: BTreeSet<CouponId> = news.terms.iter().map(|terms| terms.coupon).collect();
            let gone = self.terms.iter().flat_map(|terms| terms.values());
            let gone = gone.filter(|terms| !there.contains(&terms.coupon)).copied();
            changed.extend(gone.filter_map(withdrawn));
        }
        changed.extend(deleted.filter_map(withdrawn));
        changed
    }

    /// Brings epochs to a version, all at once: one of several gates that does not answer holds up none of the others.
    async fn bring(
        &mut self,
        background: &Background,
        epochs: &[Arc<Epoch>],
        versions: (u64, u64),
        changed: &[Terms],
        layouts: &[VersionRecord],
    ) -> anyhow::Result<()> {
        let Self { terms, gates, .. } = self;
        let (count, terms) = (gates.count(), terms.as_ref());
        let brought = count.all().zip(gates.iter_mut()).filter_map(|(gate, brought)| {
            let epoch = epochs.iter().find(|epoch| count.of_epoch(epoch.number) == gate)?;
            Some(brought.bring(background, epoch, versions, (terms, changed), layouts))
        });
        join_all(brought).await.into_iter().collect()
    }

    /// The coupons that an epoch lacks, and the version that their terms are of; none if it is not the one that was brought.
    fn lacking_in(&self, epoch: &Epoch) -> (u64, Vec<Terms>) {
        let BroughtTo { done, lacking } = self.gates.of_epoch(epoch.number);
        match done {
            Some((number, version)) if *number == epoch.number => {
                (*version, lacking.values().copied().collect())
            }
            _ => (0, Vec::new()),
        }
    }

    /// Takes note that an epoch has coupons by these terms. Those of which there are others by now stay, to be brought to them.
    fn were_added(&mut self, epoch: &Epoch, terms: &[Terms]) {
        let lacking = &mut self.gates.of_epoch_mut(epoch.number).lacking;
        for terms in terms {
            if lacking.get(&terms.coupon) == Some(terms) {
                lacking.remove(&terms.coupon);
            }
        }
    }

    /// Goes by what there is from now on.
    fn go_by(&mut self, background: &Background, news: News, changed: &[Terms]) {
        let News { version, rooms, users, .. } = news;
        self.terms.get_or_insert_default().extend(changed.iter().map(|terms| (terms.coupon, *terms)));
        background.offered.go_by(version, changed, rooms, &users);
    }

    /// Notes in main by which version this process goes, when that is news, and that it lives.
    async fn tell(&mut self, background: &Background, version: u64) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.told.is_some_and(|(told, when)| told == version && now < when + TELLS) {
            return Ok(());
        }
        background.main.goes_by(&background.living, version).await?;
        self.told = Some((version, now));
        Ok(())
    }
}

impl BroughtTo {
    /// Brings an epoch of the gate to a version: all terms that are known of its coupons, unless this process has brought it to
    /// the version before. What it lacks is added later.
    async fn bring(
        &mut self,
        background: &Background,
        epoch: &Epoch,
        (known, version): (u64, u64),
        (terms, changed): (Option<&BTreeMap<CouponId, Terms>>, &[Terms]),
        layouts: &[VersionRecord],
    ) -> anyhow::Result<()> {
        let changed = background.of_gate(background.gate_of(epoch), changed, |terms| terms.coupon);
        if self.done == Some((epoch.number, version)) && changed.is_empty() {
            return Ok(());
        }
        let whole = self.done != Some((epoch.number, known));
        let before: Vec<Terms> =
            terms.filter(|_| whole).into_iter().flat_map(BTreeMap::values).copied().collect();
        let before = background.of_gate(background.gate_of(epoch), &before, |terms| terms.coupon);
        let all = before.into_iter().chain(changed).map(|terms| (terms.coupon, terms));
        let all: BTreeMap<CouponId, Terms> = all.collect();
        // Until it is done, it may be done in part.
        self.done = None;
        background.fence(epoch, version, layouts).await?;
        let lacking = background.bring(epoch, version, &all.values().collect::<Vec<_>>()).await?;
        self.lacking.retain(|coupon, _| !whole && !all.contains_key(coupon));
        self.lacking.extend(lacking.into_iter().map(|terms| (terms.coupon, terms)));
        self.done = Some((epoch.number, version));
        Ok(())
    }
}

/// Does what may take longer than a process counts as alive without a note. It notes in main meanwhile by which version it
/// still goes, so that changes wait for it.
async fn alive_during<T>(background: &Background, known: u64, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Ok(done) = timeout(TELLS, &mut work).await {
            return done;
        }
        if let Err(error) = background.main.goes_by(&background.living, known).await {
            tracing::debug!(%error, "main is not told that this process lives");
        }
    }
}

/// Names the coupons whose row makes no sense.
fn set_aside(known: &SetAside, news: &News) {
    if news.whole {
        return known.tell(Place::Catalogue, news.found.clone());
    }
    let read = news.terms.iter().map(|terms| terms.coupon).chain(news.deleted.iter().copied());
    for coupon in read {
        let of_it = news.found.get_key_value(&number(coupon));
        let of_it = of_it.map(|(coupon, why)| (*coupon, why.clone()));
        known.tell_of(Place::Catalogue, coupon, of_it.into_iter().collect());
    }
}
