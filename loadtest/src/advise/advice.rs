//! Advice as programs read it.

use std::num::NonZeroU16;

use serde::Serialize;

use super::keys::JudgedKey;
use super::{
    Agreement, Compared, RatedAlternative, StartCommand, best_two, busiest_rows, rows_to_tell, too_few,
};
use crate::replay::Recording;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct AdviceReport<'a> {
    /// The alternatives considered.
    pub alternatives: &'a [RatedAlternative],
    /// The candidate keys that were asked for.
    pub keys: &'a [JudgedKey],
    /// The rows of the busiest time, by which they are ranked.
    pub busiest_rows: u64,
    /// The rows that it would take to tell the two that are recommended apart; none where the first is the better one.
    pub rows_to_tell: Option<u64>,
    /// The best, and the best of another kind.
    pub recommended: Vec<Recommended<'a>>,
    /// The agreement of prediction and measurement; none without a replay.
    pub proof: Option<Agreement>,
}

/// An alternative that is worth to be started.
#[derive(Debug, Serialize)]
pub struct Recommended<'a> {
    /// The name among the alternatives.
    pub name: &'a str,
    /// The command that starts it.
    #[serde(flatten)]
    pub start: StartCommand,
    /// The predictions of a replay, beside its measurements; empty without one.
    pub compared: Vec<Compared>,
}

impl<'a> AdviceReport<'a> {
    /// The advice without a proof: predictions alone. With too few rows to say, nothing is recommended.
    #[must_use]
    pub fn of(findings: &'a [RatedAlternative], recording: &Recording, shards: NonZeroU16) -> Self {
        let best = if too_few(findings, shards) { Vec::new() } else { best_two(findings) };
        let recommended = best.into_iter().map(|finding| {
            let start = StartCommand::of(&finding.alternative.spec, recording);
            Recommended { name: &finding.alternative.name, start, compared: Vec::new() }
        });
        Self {
            keys: &[],
            alternatives: findings,
            busiest_rows: busiest_rows(findings),
            rows_to_tell: rows_to_tell(findings),
            recommended: recommended.collect(),
            proof: None,
        }
    }

    /// Adds what a replay measured of one of them.
    pub fn prove(&mut self, name: &str, compared: Vec<Compared>) {
        let worst = compared.iter().map(|figure| figure.agreement).max().unwrap_or(Agreement::Unknown);
        self.proof = self.proof.max(Some(worst));
        if let Some(recommended) = self.recommended.iter_mut().find(|recommended| recommended.name == name) {
            recommended.compared = compared;
        }
    }
}

#[cfg(test)]
mod tests {
    use coupon_report::model::Figure;

    use super::*;
    use crate::advise::render::tests::findings;
    use crate::replay::QueryMix;

    fn compared(agreement: Agreement) -> Compared {
        Compared { figure: "skew".into(), predicted: Some(1.5), measured: Figure::of(1.2), agreement }
    }

    #[test]
    fn advice_has_the_settings_of_the_best_and_what_became_of_their_proof() {
        let recording = crate::advise::predict::tests::recording();
        let findings = findings(&recording, &QueryMix::none());
        let mut advice = AdviceReport::of(&findings, &recording, NonZeroU16::new(4).unwrap());
        assert_eq!((advice.recommended.len(), advice.proof), (2, None));
        let names: Vec<&str> =
            best_two(&findings).iter().map(|best| best.alternative.name.as_str()).collect();
        advice.prove(names[0], vec![compared(Agreement::Differs), compared(Agreement::Agrees)]);
        advice.prove(names[1], vec![compared(Agreement::Unknown)]);

        let json = serde_json::to_value(&advice).unwrap();
        assert_eq!(json["alternatives"].as_array().unwrap().len(), findings.len());
        assert_eq!((&json["proof"], &json["recommended"][0]["name"]), (&"differs".into(), &names[0].into()));
        for (at, best) in best_two(&findings).iter().enumerate() {
            let set = StartCommand::of(&best.alternative.spec, &recording).settings;
            assert_eq!(json["recommended"][at]["settings"], serde_json::json!(set));
        }
        let figure = &json["recommended"][0]["compared"][0];
        assert_eq!((&figure["agreement"], &figure["predicted"]), (&"differs".into(), &1.5_f64.into()));
    }
}
