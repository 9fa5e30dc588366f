//! The life of the gate that grabs may use.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use coupon_store::failpoints::{self, Mechanism};
use deadpool_redis::redis::Script;
use tokio::sync::Notify;

use crate::format::FORMAT;

/// Decides grabs.
const GRABS: &str = include_str!("script.lua");
/// Lets go of what was given back.
const RELEASES: &str = include_str!("release.lua");
/// The scripts' ways of looking for the sentinel.
const GRABS_LOOK: &str = "seen[1]";
const RELEASES_LOOK: &str = "redis.call('ZSCORE', KEYS[1], '@')";

/// One life of the gate, from a filling to the next.
pub struct Epoch {
    /// Its number: 1 for the first.
    pub number: u64,
    /// The script that decides grabs.
    pub(crate) script: EpochScript,
    /// The script that lets go of what was given back.
    pub(crate) releases: EpochScript,
}

impl Epoch {
    /// That epoch of a data set.
    #[must_use]
    pub fn new(dataset: &str, number: u64) -> Self {
        let of = |script, looks| EpochScript::new(dataset, number, script, looks);
        Self { number, script: of(GRABS, GRABS_LOOK), releases: of(RELEASES, RELEASES_LOOK) }
    }

    /// True unless that mechanism is switched off: the gate decides nothing where the sentinel is missing.
    #[must_use]
    pub fn looks_for_the_sentinel(&self) -> bool {
        self.script.looks
    }
}

/// A script of one epoch of one data set: the same as every other, under a different name.
pub(crate) struct EpochScript {
    text: String,
    sha: String,
    /// It looks for the sentinel.
    looks: bool,
}

impl EpochScript {
    fn new(dataset: &str, epoch: u64, script: &'static str, look: &str) -> Self {
        let looks = !failpoints::is_off(Mechanism::Sentinel);
        let script = if looks { Cow::from(script) } else { Cow::from(script.replace(look, "true")) };
        // The format, so that no process of another decides anything by what this one has filled.
        let text = format!("-- data set {dataset}, format {FORMAT}, epoch {epoch}\n{script}");
        let sha = Script::new(&text).get_hash().to_owned();
        Self { text, sha, looks }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn sha(&self) -> &str {
        &self.sha
    }
}

/// The epoch that grabs may use, if there is one, and the suspicion that there is none.
#[derive(Default)]
pub(crate) struct EpochCell {
    open: RwLock<Option<Arc<Epoch>>>,
    /// Its number, for callers that need no more; 0 when none is open.
    number: AtomicU64,
    suspected: AtomicBool,
    /// Redis did not answer when it was last asked.
    away: AtomicBool,
    suspicion: Notify,
}

impl EpochCell {
    pub(crate) fn open(&self) -> Option<Arc<Epoch>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn number(&self) -> Option<u64> {
        Some(self.number.load(Ordering::Acquire)).filter(|number| *number > 0)
    }

    pub(crate) fn set(&self, epoch: Option<Arc<Epoch>>) {
        let number = epoch.as_ref().map_or(0, |epoch| epoch.number);
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = epoch;
        self.number.store(number, Ordering::Release);
    }

    /// Something does not fit: Redis lacks a script, a queue takes nothing, a coupon is missing. The gatekeeper looks
    /// at once.
    pub(crate) fn suspect(&self) {
        self.suspected.store(true, Ordering::Release);
        self.suspicion.notify_one();
    }

    /// Takes note whether Redis answered when it was last asked.
    pub(crate) fn answered(&self, answered: bool) {
        self.away.store(!answered, Ordering::Relaxed);
    }

    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// True if there was a suspicion since the last time this was asked.
    pub(crate) fn take_suspicion(&self) -> bool {
        self.suspected.swap(false, Ordering::AcqRel)
    }

    pub(crate) async fn suspicion(&self) {
        self.suspicion.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_look_for_the_sentinel_where_the_fail_point_says() {
        let counts = [(GRABS, GRABS_LOOK), (RELEASES, RELEASES_LOOK)]
            .map(|(script, look)| script.matches(look).count());
        assert_eq!(counts, [1, 1]);
    }

    /// Two processes of one format that have other scripts would each take the other's gate for one that has lost its memory.
    #[test]
    fn other_scripts_are_another_format() {
        let known =
            ("8", ["4f52c36992b0c08edbe4ab7e85f6dc70d7dd3578", "33b8eae3884904abace473ec05979e9137f670ec"]);
        let texts = [GRABS, RELEASES].map(|text| Script::new(text).get_hash().to_owned());
        assert_eq!(
            (FORMAT, texts.each_ref().map(String::as_str)),
            known,
            "a script has changed, and the format has not"
        );
    }
}
