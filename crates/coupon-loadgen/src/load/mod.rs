//! Sends a workload's requests and measures the answers.

mod alarm;
mod connection;
mod generator;
mod outcome;
mod recorder;
mod shared;
mod spec;
#[cfg(test)]
mod tests;
mod watch;
mod windows;

pub use generator::{run_load, run_load_with};
pub use outcome::{
    End, Ended, EndpointOutcome, GeneratorCost, GrabLatency, GrabOutcome, GrabRecord, GrabsByOutcome,
    Outcome, PhaseOutcome, Refusal, ScenarioOutcome, StepOutcome, StepRecord, Tally, UNSENT, Unknown,
};
pub use spec::{Arrivals, LoadProgress, LoadSpec};
pub use watch::Watch;
pub use windows::Window;
