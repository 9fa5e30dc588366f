//! Steps of results after their grab: asked for again where the answer was not clear, and looked at where they were
//! refused.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use coupon_audit::{Ack, Claims};
use coupon_core::{ResultState, Timestamp};
use coupon_lab::acks;
use coupon_lab::wait::at_once;
use coupon_loadgen::http::{Target, ask, get_json};
use coupon_loadgen::load::{StepOutcome, StepRecord};
use coupon_loadgen::workload::{Endpoint, order_of};
use coupon_service::api::{ResultAnswer, ResultView};
use serde::Serialize;
use serde_json::json;

use super::ablation::AskingAgain;
use super::ask_again::{CLIENTS, PAUSE};
use super::context::now;
use super::load::ANSWER;
use super::service::TestedService;

/// The number of refused steps that are shown in full where they should not have been.
const SHOWN_IN_FULL: usize = 3;
/// The status of a step that the result stands in the way of.
const STANDS: u16 = 409;

/// Counts of the steps that users took of results, by the last answer to each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StepCounts {
    /// Confirmed.
    pub confirmed: u64,
    /// Given up while they were held.
    pub released: u64,
    /// Spent.
    pub used: u64,
    /// Handed back.
    pub returned: u64,
    /// Refused, since the result had expired.
    pub too_late: u64,
    /// Never answered.
    pub unclear: u64,
    /// Asked for again, since the first answer was not clear.
    pub asked_again: u64,
}

impl fmt::Display for StepCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}, {}", self.confirmed, self.released, self.used, self.returned)
    }
}

/// A step that a user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    pub(super) user: u64,
    pub(super) result: i64,
    pub(super) endpoint: Endpoint,
}

impl Step {
    const fn of(record: &StepRecord) -> Self {
        Self { user: record.user_id, result: record.result_id, endpoint: record.endpoint }
    }

    /// Asks for it once.
    pub(super) fn take(self, target: &Target) -> StepOutcome {
        let Self { user, result, endpoint } = self;
        let order = (endpoint == Endpoint::Use).then(|| order_of(result).units());
        let mut body = json!({ "user_id": user, "result_id": result.to_string() });
        if let (Some(order), Some(body)) = (order, body.as_object_mut()) {
            body.insert("order_amount".to_owned(), json!(order));
        }
        let path = endpoint.path().trim_start_matches("POST ");
        match ask(target, "POST", path, body.to_string().as_bytes(), ANSWER) {
            Ok((200, _)) => StepOutcome::Taken,
            Ok((status @ 400..500, _)) => StepOutcome::Refused(status),
            Ok(_) | Err(_) => StepOutcome::Unknown,
        }
    }

    /// Asks for it until there is a clear answer, or no time is left.
    fn take_until(self, target: &Target, end: Instant) -> StepOutcome {
        loop {
            let outcome = self.take(target);
            if outcome != StepOutcome::Unknown || Instant::now() >= end {
                return outcome;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The record of its outcome, which is known now.
    pub(super) fn record(self, outcome: StepOutcome) -> StepRecord {
        let Self { user: user_id, result: result_id, endpoint } = self;
        StepRecord { user_id, result_id, endpoint, outcome, told_at: now() }
    }
}

/// The steps of one service's results, each with its last answer.
pub(super) struct Steps {
    steps: Vec<StepRecord>,
    asked_again: u64,
    unanswered: Vec<String>,
}

/// Asks again for steps that ended without a clear answer, for as long as `limit`.
pub(super) fn ask_again(
    service: &TestedService,
    mut steps: Vec<StepRecord>,
    (asking, limit): (AskingAgain, Duration),
) -> Result<Steps> {
    let unclear = steps.iter_mut().filter(|step| step.outcome == StepOutcome::Unknown);
    let mut again: Vec<&mut StepRecord> = asking.choose(unclear).collect();
    let asked_again = again.len() as u64;
    let mut unanswered = Vec::new();
    if !again.is_empty() {
        let (target, end) = (service.answering()?, Instant::now() + limit);
        let each = again.len().div_ceil(CLIENTS);
        at_once(again.chunks_mut(each), |some| {
            for step in some {
                let asked = Step::of(step);
                **step = asked.record(asked.take_until(&target, end));
            }
            Ok(())
        })?;
        let silent = again.iter().filter(|step| step.outcome == StepOutcome::Unknown);
        unanswered.extend(silent.map(|step| {
            let StepRecord { result_id, endpoint, .. } = step;
            format!("{} of result {result_id}: no clear answer in {} s", endpoint.key(), limit.as_secs())
        }));
    }
    Ok(Steps { steps, asked_again, unanswered })
}

impl Steps {
    /// Adds the last answers to what clients claim.
    pub(super) fn claim(&self, claims: &mut Claims) {
        for Ack { user, told, .. } in self.steps.iter().filter_map(acks::of_step) {
            claims.take(user, told);
        }
    }

    /// Looks at what was refused, now that all is settled, and returns everything that should not have been.
    pub(super) fn check(&self, service: &TestedService) -> Result<Vec<String>> {
        let target = service.answering()?;
        let refused = self.steps.iter().filter_map(|step| match step.outcome {
            StepOutcome::Refused(status) => Some((step, status)),
            StepOutcome::Taken | StepOutcome::Unknown => None,
        });
        let mut broken = self.unanswered.clone();
        for (StepRecord { result_id, endpoint, told_at, .. }, status) in refused {
            let said = format!(
                "{} of result {result_id}, which was acknowledged, answered {status}",
                endpoint.key()
            );
            let stored = get_json::<ResultAnswer>(&target, &format!("/api/result/{result_id}"));
            match stored.map(|answer| answer.result) {
                Ok(ResultView { state, hold_until, .. })
                    if status == STANDS && was_over(&state, hold_until.as_deref(), *told_at) => {}
                Ok(ResultView { state, .. }) => broken.push(format!("{said}, and it is {state}")),
                Err(error) => broken.push(format!("{said}: {error:#}")),
            }
        }
        let more = broken.len().saturating_sub(SHOWN_IN_FULL);
        broken.truncate(SHOWN_IN_FULL);
        broken.extend((more > 0).then(|| format!("and {more} more of the steps")));
        Ok(broken)
    }

    pub(super) fn counts(&self) -> StepCounts {
        let mut counts = StepCounts { asked_again: self.asked_again, ..StepCounts::default() };
        for step in &self.steps {
            *counts.of(step.endpoint, step.outcome) += 1;
        }
        counts
    }
}

/// True if a result's time to be confirmed was over by then. One that was stored late is still held for a moment after it.
fn was_over(state: &str, hold_until: Option<&str>, by: Timestamp) -> bool {
    let until = || hold_until?.parse::<Timestamp>().ok();
    state == ResultState::Expired.as_str()
        || state == ResultState::Held.as_str() && until().is_some_and(|until| until <= by)
}

impl StepCounts {
    fn of(&mut self, endpoint: Endpoint, outcome: StepOutcome) -> &mut u64 {
        match (outcome, endpoint) {
            (StepOutcome::Unknown, _) => &mut self.unclear,
            (StepOutcome::Refused(_), _) => &mut self.too_late,
            (StepOutcome::Taken, Endpoint::Confirm) => &mut self.confirmed,
            (StepOutcome::Taken, Endpoint::Use) => &mut self.used,
            (StepOutcome::Taken, Endpoint::Return) => &mut self.returned,
            (StepOutcome::Taken, _) => &mut self.released,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_by_their_last_answer() {
        let step = |endpoint, outcome| Step { user: 1, result: 7, endpoint }.record(outcome);
        let steps = Steps {
            steps: vec![
                step(Endpoint::Confirm, StepOutcome::Taken),
                step(Endpoint::Confirm, StepOutcome::Refused(409)),
                step(Endpoint::Release, StepOutcome::Taken),
                step(Endpoint::Use, StepOutcome::Taken),
                step(Endpoint::Return, StepOutcome::Taken),
                step(Endpoint::Return, StepOutcome::Unknown),
            ],
            asked_again: 2,
            unanswered: Vec::new(),
        };
        let counts = steps.counts();
        assert_eq!(counts.to_string(), "1, 1, 1, 1");
        assert_eq!((counts.too_late, counts.unclear, counts.asked_again), (1, 1, 2));
    }

    #[test]
    fn a_result_is_over_once_it_has_expired_or_is_held_beyond_its_time() {
        let until = Timestamp::from_millis(1_700_000_000_000);
        let text = until.to_string();
        for (state, hold_until, by, over) in [
            ("expired", None, until, true),
            ("held", Some(&*text), until, true),
            ("held", Some(&*text), until.plus_millis(-1), false),
            ("held", None, until, false),
            ("owned", Some(&*text), until, false),
        ] {
            assert_eq!(was_over(state, hold_until, by), over, "{state} {hold_until:?} {by}");
        }
    }
}
