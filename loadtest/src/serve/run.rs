//! The page's runs: one at a time, each with a report.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, anyhow};
use coupon_cli::files;
use coupon_cli::terminal;
use coupon_report::{self, Report};

use super::command;
use super::shown::Board;
use crate::compare::{self, Observer, watched};

/// Reports are some hundred kilobytes each.
const MOST_REPORTS: usize = 20;

/// Everything about runs.
#[derive(Debug)]
pub(super) struct Runs {
    pub(super) options: super::PageOptions,
    pub(super) board: Arc<Board>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The number of the last one.
    number: u64,
    /// Stops the load of the one that is under way.
    stop: Option<Arc<AtomicBool>>,
    /// Runs that ended well, the latest last.
    ended: VecDeque<Ended>,
}

/// The record of a run that is over.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    number: u64,
    /// Its report, as a page.
    pub(super) page: Arc<str>,
    /// Its workload, where that is not the built-in one.
    pub(super) workload: Option<Arc<str>>,
}

impl Ended {
    fn of(number: u64, report: &Report, options: &compare::CompareOptions) -> Self {
        let workload = command::workload(&options.load.workload);
        Self { number, page: coupon_report::html::render(report).into(), workload: workload.map(Into::into) }
    }
}

impl Runs {
    pub(super) fn new(options: super::PageOptions) -> Self {
        let number = options.out.as_deref().map_or(0, last_kept);
        let kept = Arc::new(Mutex::new(Kept { number, ..Kept::default() }));
        Self { options, board: Arc::new(Board::new()), kept }
    }

    /// Starts a run, and says which it is; none when there is one under way.
    pub(super) fn start(&self, options: compare::CompareOptions) -> Option<u64> {
        let mut kept = lock(&self.kept);
        if kept.stop.is_some() {
            return None;
        }
        kept.number += 1;
        let number = kept.number;
        kept.stop = Some(options.load.stop.clone().unwrap_or_default());
        // What the board shows changes under the lock, or the end of a run could be shown over the start of the next.
        self.board.begin(number, &options);
        drop(kept);
        let (board, kept, out) = (Arc::clone(&self.board), Arc::clone(&self.kept), self.options.out.clone());
        let work = move || {
            // The page is made before the lock is taken: it takes its time.
            let ran = || {
                let report = run(&options, &board, number, out.as_deref())?;
                let ended = Ended::of(number, &report, &options);
                Ok((report, ended))
            };
            // Whatever happens in it, the next run can be started.
            let ran = catch_unwind(AssertUnwindSafe(ran))
                .unwrap_or_else(|_| Err(anyhow!("it did not end well; what it said is on the terminal")));
            end(&mut lock(&kept), &board, number, ran);
        };
        if let Err(error) = std::thread::Builder::new().spawn(work) {
            end(&mut lock(&self.kept), &self.board, number, Err(anyhow!("no thread for it: {error}")));
        }
        Some(number)
    }

    /// Ends the load of the run that is under way; says whether there is one.
    pub(super) fn stop(&self) -> bool {
        let kept = lock(&self.kept);
        let Some(stop) = &kept.stop else { return false };
        stop.store(true, Ordering::Relaxed);
        self.board.stopping();
        true
    }

    /// A run that ended well, if it is not too long ago.
    pub(super) fn ended(&self, run: u64) -> Option<Ended> {
        lock(&self.kept).ended.iter().find(|ended| ended.number == run).cloned()
    }
}

impl Kept {
    fn keep(&mut self, run: Ended) {
        self.ended.push_back(run);
        if self.ended.len() > MOST_REPORTS {
            self.ended.pop_front();
        }
    }
}

/// A run is over, one way or the other.
fn end(kept: &mut Kept, board: &Board, number: u64, ran: Result<(Report, Ended)>) {
    kept.stop = None;
    match ran {
        Ok((report, ended)) => {
            board.done(number, &report, ended.workload.is_some());
            kept.keep(ended);
        }
        Err(error) => {
            terminal::note(format!("run {number}: {error:#}"));
            board.fail(&format!("{error:#}"));
        }
    }
}

/// The number of the last run whose report the folder holds: what is there is kept.
fn last_kept(out: &Path) -> u64 {
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_prefix("run-")?.parse().ok();
    entries.filter_map(number).max().unwrap_or(0)
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(
    options: &compare::CompareOptions,
    board: &Arc<Board>,
    number: u64,
    out: Option<&Path>,
) -> Result<Report> {
    let observer: Arc<dyn Observer> = Arc::clone(board) as Arc<dyn Observer>;
    let (_, mut report) = watched(options, &observer)?;
    let mut notes = vec![
        "All contestants were under load at the same time and shared this machine, in one round: this run is for seeing. \
         loadtest compare lets them take turns, and decides."
            .to_owned(),
    ];
    if options.load.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
        notes.push("The load was stopped before its time.".to_owned());
    }
    report.meta.warnings.splice(0..0, notes);
    report.meta.command = command::command(options);
    if let Some(out) = out {
        let folder = out.join(format!("run-{number}"));
        let paths = coupon_report::write_all(&report, &folder)?;
        if let Some(workload) = command::workload(&options.load.workload) {
            // The command that the report names takes it.
            let file = folder.join("workload.toml");
            files::write_private(&file, &workload)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        terminal::say(paths.html.display().to_string());
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_fails_lets_the_next_one_start() {
        let (board, mut kept) = (Board::new(), Kept { stop: Some(Arc::default()), ..Kept::default() });
        end(&mut kept, &board, 1, Err(anyhow!("its disk is full")));
        assert!(kept.stop.is_none() && kept.ended.is_empty());
        assert!(board.json().contains("\"failed\"") && board.json().contains("its disk is full"));
    }

    #[test]
    fn runs_go_on_after_those_that_were_kept() {
        let out = tempfile::tempdir().unwrap();
        assert_eq!(last_kept(out.path()), 0);
        for name in ["run-2", "run-11", "run-x", "other"] {
            std::fs::create_dir(out.path().join(name)).unwrap();
        }
        assert_eq!((last_kept(out.path()), last_kept(Path::new("/nowhere"))), (11, 0));
    }

    #[test]
    fn the_oldest_report_goes_when_there_are_too_many() {
        let mut kept = Kept::default();
        for run in 1..=21 {
            kept.keep(Ended { number: run, page: "report".into(), workload: None });
        }
        assert_eq!((kept.ended.len(), kept.ended.front().map(|run| run.number)), (MOST_REPORTS, Some(2)));
    }
}
