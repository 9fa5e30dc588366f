//! Arrivals over time: constant, in steps, or as a sale begins.

use std::time::Duration;

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};

/// The `[arrivals]` of a workload. Requests arrive whether or not answers do, and their latency counts from the moment
/// they were due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "snake_case", deny_unknown_fields)]
pub enum ArrivalShape {
    /// A rate of requests a second.
    Constant {
        /// Requests a second.
        rate: f64,
    },
    /// One rate after the other; the last goes on.
    Steps {
        /// In their order.
        steps: Vec<Step>,
    },
    /// A sale's start: a rate, a jump, and an exponential decay back to it.
    Spike {
        /// Requests a second before, and long after.
        base: f64,
        /// Requests a second at the jump.
        peak: f64,
        /// The time of the jump, in seconds.
        at_s: f64,
        /// The seconds in which half of what is above the base goes away.
        half_life_s: f64,
    },
}

/// A rate for a while.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A number of users of the scenarios, who think between actions and are answered at once; their requests are the
    /// rate.
    pub users: Option<f64>,
    /// The rate of requests a second.
    pub rate: Option<f64>,
    /// The time that it lasts.
    pub seconds: f64,
}

/// A part of a shape for which figures are reported separately.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// Its end.
    pub until: Duration,
}

/// The most requests a second: more than any address takes.
const MOST: f64 = 1e6;
/// A week.
const LONGEST_S: f64 = 604_800.0;
/// The half-lives after which a spike is over: two hundredths are left of it.
const HALF_LIVES: f64 = 6.0;

impl ArrivalShape {
    pub(super) fn check(&self, has_scenarios: bool) -> anyhow::Result<()> {
        match self {
            Self::Constant { rate } => {
                check_rate("arrivals.rate", *rate)?;
                ensure!(*rate > 0.0, "arrivals.rate: must be above 0");
            }
            Self::Steps { steps } => {
                for (number, step) in steps.iter().enumerate() {
                    step.check(&format!("arrivals.steps[{number}]"), has_scenarios)?;
                }
                let some = steps.iter().any(|step| step.users.or(step.rate) > Some(0.0));
                ensure!(some, "arrivals.steps: one must have users or a rate above 0");
            }
            Self::Spike { base, peak, at_s, half_life_s } => {
                check_rate("arrivals.base", *base)?;
                check_rate("arrivals.peak", *peak)?;
                ensure!(
                    peak > base,
                    "arrivals.peak: must be above arrivals.base, which is {base}, not {peak}"
                );
                let starts = (0.0..=LONGEST_S).contains(at_s);
                ensure!(starts, "arrivals.at_s: must be 0 or more, a week at most, not {at_s}");
                check_seconds("arrivals.half_life_s", *half_life_s)?;
            }
        }
        Ok(())
    }

    /// Its length; none when it has no end.
    #[must_use]
    pub fn length(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Constant { .. } => return None,
            Self::Steps { steps } => steps.iter().map(|step| step.seconds).sum(),
            Self::Spike { at_s, half_life_s, .. } => at_s + HALF_LIVES * half_life_s,
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Its parts that have figures of their own.
    #[must_use]
    pub fn phases(&self) -> Vec<Phase> {
        let phase = |name: String, until: f64| Phase {
            name,
            until: Duration::try_from_secs_f64(until).unwrap_or(Duration::MAX),
        };
        match self {
            Self::Constant { .. } => Vec::new(),
            Self::Steps { steps } => {
                let mut until = 0.0;
                let named = steps.iter().map(|step| {
                    until += step.seconds;
                    let name = match (step.users, step.rate) {
                        (Some(users), _) => format!("{users} users"),
                        (None, rate) => format!("{}/s", rate.unwrap_or_default()),
                    };
                    phase(name, until)
                });
                named.collect()
            }
            Self::Spike { at_s, half_life_s, .. } => vec![
                phase("before the jump".to_owned(), *at_s),
                phase("first half-life".to_owned(), at_s + half_life_s),
                phase("second half-life".to_owned(), at_s + 2.0 * half_life_s),
                phase("after that".to_owned(), f64::MAX),
            ],
        }
    }
}

impl Step {
    fn check(self, at: &str, has_scenarios: bool) -> anyhow::Result<()> {
        check_seconds(&format!("{at}.seconds"), self.seconds)?;
        match (self.users, self.rate) {
            (Some(users), None) => {
                ensure!(has_scenarios, "{at}.users: only scenarios have users; give rate");
                ensure!((0.0..=1e9).contains(&users), "{at}.users: must be 0 to 1e9, not {users}");
                Ok(())
            }
            (None, Some(rate)) => check_rate(&format!("{at}.rate"), rate),
            _ => bail!("{at}: give either users or rate"),
        }
    }
}

fn check_rate(at: &str, rate: f64) -> anyhow::Result<()> {
    ensure!((0.0..=MOST).contains(&rate), "{at}: must be 0 to {MOST} requests a second, not {rate}");
    Ok(())
}

fn check_seconds(at: &str, seconds: f64) -> anyhow::Result<()> {
    ensure!(seconds > 0.0 && seconds <= LONGEST_S, "{at}: must be above 0, a week at most, not {seconds}");
    Ok(())
}

/// A shape with rates alone.
#[derive(Debug, Clone)]
pub(super) enum Profile {
    /// Each rate, and when it ends; the last goes on.
    Steps(Vec<(f64, f64)>),
    Spike {
        base: f64,
        peak: f64,
        at: f64,
        tau: f64,
    },
}

impl Profile {
    /// `per_user` is how many requests a second one user makes.
    pub(super) fn new(shape: &ArrivalShape, per_user: f64) -> Self {
        match shape {
            ArrivalShape::Constant { rate } => Self::Steps(vec![(*rate, f64::INFINITY)]),
            ArrivalShape::Steps { steps } => {
                let mut end = 0.0;
                let rates = steps.iter().map(|step| {
                    end += step.seconds;
                    (step.users.map_or(step.rate.unwrap_or_default(), |users| users * per_user), end)
                });
                Self::Steps(rates.collect())
            }
            ArrivalShape::Spike { base, peak, at_s, half_life_s } => {
                Self::Spike { base: *base, peak: *peak, at: *at_s, tau: half_life_s / std::f64::consts::LN_2 }
            }
        }
    }

    /// The number of requests due until then, on average.
    pub(super) fn until(&self, time: f64) -> f64 {
        match self {
            Self::Steps(steps) => {
                let (mut due, mut from) = (0.0, 0.0);
                for (number, (rate, end)) in steps.iter().enumerate() {
                    let end = if number + 1 == steps.len() { f64::INFINITY } else { *end };
                    if time <= from {
                        break;
                    }
                    due += rate * (time.min(end) - from);
                    from = end;
                }
                due
            }
            Self::Spike { base, peak, at, tau } => {
                let since = (time - at).max(0.0);
                base * time + (peak - base) * tau * (1.0 - (-since / tau).exp())
            }
        }
    }

    /// The time, not before `from`, at which that many are due; none, if there are not that many in a week.
    pub(super) fn when(&self, due: f64, from: f64) -> Option<f64> {
        let (mut low, mut width) = (from, 1e-3);
        while self.until(low + width) < due {
            low += width;
            width *= 2.0;
            if low > LONGEST_S {
                return None;
            }
        }
        let mut high = low + width;
        // To the nanosecond, or as near to it as a double is.
        while high - low > 1e-9 {
            let middle = f64::midpoint(low, high);
            if middle <= low || middle >= high {
                break;
            }
            if self.until(middle) < due { low = middle } else { high = middle }
        }
        Some(high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_halves_what_is_above_its_base_with_every_half_life() {
        let spike = ArrivalShape::Spike { base: 100.0, peak: 1_100.0, at_s: 5.0, half_life_s: 2.0 };
        let profile = Profile::new(&spike, 0.0);
        let rate = |time: f64| (profile.until(time + 1e-4) - profile.until(time)) * 1e4;
        for (time, wanted) in [(4.0, 100.0), (5.0, 1_100.0), (7.0, 600.0), (9.0, 350.0), (60.0, 100.0)] {
            assert!((rate(time) / wanted - 1.0).abs() < 0.01, "{} at {time}", rate(time));
        }
        assert_eq!(spike.length(), Some(Duration::from_secs(17)));
    }

    #[test]
    fn steps_of_users_follow_each_other_and_the_last_goes_on() {
        let step = |users, seconds| Step { users: Some(users), rate: None, seconds };
        let steps = ArrivalShape::Steps { steps: vec![step(100.0, 10.0), step(500.0, 5.0)] };
        let profile = Profile::new(&steps, 0.5);
        assert_eq!([5.0, 10.0, 12.0, 20.0].map(|time| profile.until(time)), [250.0, 500.0, 1_000.0, 3_000.0]);
        assert_eq!(steps.length(), Some(Duration::from_secs(15)));
        let names: Vec<String> = steps.phases().into_iter().map(|phase| phase.name).collect();
        assert_eq!(names, ["100 users", "500 users"]);
    }

    #[test]
    fn moments_are_where_so_many_are_due() {
        let spike = ArrivalShape::Spike { base: 10.0, peak: 500.0, at_s: 1.0, half_life_s: 1.0 };
        let profile = Profile::new(&spike, 0.0);
        let mut from = 0.0;
        for due in 1..=400 {
            let at = profile.when(f64::from(due), from).unwrap();
            assert!(at >= from && (profile.until(at) - f64::from(due)).abs() < 1e-5, "{due} at {at}");
            from = at;
        }
        let over = Profile::Spike { base: 0.0, peak: 10.0, at: 0.0, tau: 1.0 };
        assert_eq!(over.when(11.0, 0.0), None);
    }
}
