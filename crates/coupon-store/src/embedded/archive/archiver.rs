//! The thread that an archive runs on, and what is known of the last one.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::steps::refused;
use crate::embedded::state::lock;
use crate::{Archive, ChangeError, Unavailable};

/// The reason for which an archive ended that panicked.
const PANICKED: &str =
    "the archive panicked, which is a mistake of this program: its standard error says where";

/// The way to the caller that asked for an archive.
pub(super) type ArchiveCaller = oneshot::Sender<Result<Archive, ChangeError>>;

/// The last archive, and the thread that it runs on.
#[derive(Default)]
pub(in crate::embedded) struct Archiver(Mutex<State>);

#[derive(Default)]
struct State {
    last: Option<Archive>,
    thread: Option<JoinHandle<()>>,
    /// True once the backend closes: what is under way ends, and no other is begun.
    closed: bool,
}

impl Archiver {
    /// True while results are being archived.
    pub(in crate::embedded) fn runs(&self) -> bool {
        lock(&self.0).last.as_ref().is_some_and(|archive| archive.runs)
    }

    /// Ends what is under way, between two of its steps.
    pub(in crate::embedded) fn close(&self) {
        let thread = {
            let mut state = lock(&self.0);
            state.closed = true;
            state.thread.take()
        };
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that archives results panicked");
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.0).closed
    }

    /// Starts a thread for an archive, unless another one is under way. It is given what was the last one before, and the way to
    /// answer. Should it panic, the archive has ended by `end` like any other, and another one can be started.
    pub(super) fn start(
        self: &Arc<Self>,
        begun: Archive,
        reply: ArchiveCaller,
        end: impl FnOnce() + Send + 'static,
        run: impl FnOnce(Option<Archive>, &mut Option<ArchiveCaller>) + Send + 'static,
    ) -> Result<(), ChangeError> {
        let mut state = lock(&self.0);
        if let Some(running) = state.last.as_ref().filter(|archive| archive.runs) {
            return refused(format!(
                "results of the days before {} are being archived already: wait for its end",
                running.before
            ));
        }
        if state.closed {
            return Err(stopping().into());
        }
        let before = state.last.replace(begun);
        let (given, archiver, mut reply) = (before.clone(), Arc::clone(self), Some(reply));
        let ran = move || {
            if catch_unwind(AssertUnwindSafe(|| run(given, &mut reply))).is_err() {
                end();
                archiver.panicked(&mut reply);
            }
        };
        match thread::Builder::new().name("archive".to_owned()).spawn(ran) {
            Ok(thread) => state.thread = Some(thread),
            Err(error) => {
                state.last = before;
                return Err(Unavailable::new("this process", error).into());
            }
        }
        Ok(())
    }

    /// The last archive since the process started, as far as it has come.
    pub(super) fn last(&self) -> Option<Archive> {
        lock(&self.0).last.clone()
    }

    pub(super) fn set(&self, archive: Option<Archive>) {
        lock(&self.0).last = archive;
    }

    /// The archive that was under way has ended so.
    fn panicked(&self, reply: &mut Option<ArchiveCaller>) {
        tracing::error!("{PANICKED}");
        if let Some(archive) = &mut lock(&self.0).last {
            archive.runs = false;
            archive.trouble = Some(goes_on(PANICKED));
        }
        answer(reply, Err(Unavailable::new("this process", PANICKED).into()));
    }
}

/// Answers the caller that asked for an archive, unless that was done before. It may have left: the archive goes on all the same.
pub(super) fn answer(reply: &mut Option<ArchiveCaller>, answer: Result<Archive, ChangeError>) {
    if let Some(reply) = reply.take() {
        drop(reply.send(answer));
    }
}

/// The reason for which an archive ended, and what that means.
pub(super) fn goes_on(why: impl Display) -> String {
    format!("{why}; what has gone has gone, and another archive goes on")
}

pub(super) fn stopping() -> Unavailable {
    Unavailable::new("this process", "it is stopping")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::Retired;

    fn archive(operator: &str) -> Archive {
        Archive {
            before: "2026-11-22".parse().unwrap(),
            began: "2026-11-22T12:00:00Z".parse().unwrap(),
            operator: operator.to_owned(),
            runs: true,
            rows: 0,
            retired: Retired::default(),
            trouble: None,
        }
    }

    /// Has a thread panic in the place of an archive. Returns what was answered, and whether the archive was ended.
    fn panics(
        archiver: &Arc<Archiver>,
        operator: &str,
        answered: bool,
    ) -> (Result<Archive, ChangeError>, bool) {
        let (reply, mut told) = oneshot::channel();
        let (ended, begun) = (Arc::new(AtomicBool::new(false)), archive(operator));
        let (end, given) = (Arc::clone(&ended), begun.clone());
        let run = move |_, reply: &mut Option<ArchiveCaller>| {
            if answered {
                answer(reply, Ok(given));
            }
            panic!("as if by mistake");
        };
        archiver.start(begun, reply, move || end.store(true, Ordering::Release), run).unwrap();
        let thread = lock(&archiver.0).thread.take().unwrap();
        thread.join().unwrap();
        (told.try_recv().unwrap(), ended.load(Ordering::Acquire))
    }

    #[test]
    fn an_archive_that_panics_has_ended_its_operator_is_answered_and_another_one_can_be_started() {
        let archiver = Arc::default();
        let (told, ended) = panics(&archiver, "Ann", false);
        let error = told.unwrap_err().to_string();
        assert!(error.contains("the archive panicked") && ended, "{error}");
        assert!(!archiver.runs());
        let (told, ended) = panics(&archiver, "Bob", true);
        assert_eq!((told.unwrap(), ended), (archive("Bob"), true));
        let last = archiver.last().unwrap();
        assert_eq!((&*last.operator, last.runs), ("Bob", false));
        assert!(last.trouble.unwrap().contains("another archive goes on"));
    }
}
