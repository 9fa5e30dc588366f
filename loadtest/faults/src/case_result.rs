//! The result of one case.

use coupon_audit::Kind;
use serde::Serialize;

use super::ablation::Ablation;
use super::cases::FaultCase;
use super::proof::Proof;
use super::service_result::ServiceResult;

/// The result of one case: a row of the table.
#[derive(Debug, Clone, Serialize)]
pub struct CaseResult {
    /// The number of the case.
    pub id: &'static str,
    /// The fault.
    pub fault: &'static str,
    /// The promise that holds all the same.
    pub promised: &'static str,
    /// The mechanism that was left out, if one was.
    pub without: Option<&'static str>,
    /// The evidence that it was left out, if any was found in the manner expected.
    pub found: Option<String>,
    /// The judgement on the promise.
    pub verdict: CaseVerdict,
    /// The evidence that the fault took effect.
    pub proof: Option<Proof>,
    /// The observations of each service.
    pub observed: Vec<ServiceResult>,
    /// Further observations.
    pub notes: Vec<String>,
    /// The time that the case took, in seconds.
    pub took_s: f64,
    /// The fault came about.
    #[serde(skip)]
    pub(super) injected: bool,
}

/// The judgement on a case's promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "why")]
pub enum CaseVerdict {
    /// They held.
    Held,
    /// They did not: the findings.
    Broken(Vec<String>),
    /// The fault was not injected: the reason.
    NotRun(String),
}

impl CaseResult {
    pub(super) fn of(case: &FaultCase, ablation: Option<&Ablation>) -> Self {
        Self::not_run(case, ablation, "it was not its turn".to_owned())
    }

    pub(super) fn not_run(case: &FaultCase, ablation: Option<&Ablation>, why: String) -> Self {
        Self {
            id: case.id,
            fault: case.name,
            promised: case.promised,
            without: ablation.map(Ablation::name),
            found: None,
            verdict: CaseVerdict::NotRun(why),
            proof: None,
            observed: Vec::new(),
            notes: Vec::new(),
            took_s: 0.0,
            injected: false,
        }
    }

    /// The audit's count of a kind, all services together.
    pub(super) fn count(&self, kind: Kind) -> u64 {
        self.observed.iter().map(|service| service.count(kind)).sum()
    }
}
