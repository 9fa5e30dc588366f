//! The times at which requests are due: pure, decided by a seed.

use std::time::Duration;

use coupon_measure::random::Random;

use super::shape::Profile;
use super::{Trace, Workload};

/// The moments at which requests are due, counted from the start: a Poisson process, whose rate may change as the
/// workload says, or those of a trace.
#[derive(Debug, Clone)]
pub struct ArrivalTimes {
    rate: f64,
    pace: Pace,
}

#[derive(Debug, Clone)]
enum Pace {
    Poisson {
        at: f64,
        random: Random,
    },
    /// A Poisson process of rate 1, whose time passes the faster the more is due.
    Shaped {
        profile: Profile,
        due: f64,
        at: f64,
        random: Random,
    },
    Traced {
        trace: Trace,
        number: usize,
    },
}

impl ArrivalTimes {
    /// `rate` requests a second on average, unless the workload has its own shape; the same seed gives the same
    /// moments.
    #[must_use]
    pub fn new(workload: &Workload, rate: f64, seed: u64) -> Self {
        let random = Random::new(seed, 2);
        let pace = match (workload.trace(), &workload.arrivals) {
            (Some(trace), _) => Pace::Traced { trace: trace.clone(), number: 0 },
            (None, Some(shape)) => {
                let profile = Profile::new(shape, workload.rate_per_user());
                Pace::Shaped { profile, due: 0.0, at: 0.0, random }
            }
            (None, None) => Pace::Poisson { at: 0.0, random },
        };
        Self { rate, pace }
    }
}

impl Iterator for ArrivalTimes {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        match &mut self.pace {
            Pace::Poisson { at, random } => {
                *at += random.exponential() / self.rate;
                Some(Duration::try_from_secs_f64(*at).unwrap_or(Duration::MAX))
            }
            Pace::Shaped { profile, due, at, random } => {
                *due += random.exponential();
                *at = profile.when(*due, *at)?;
                Duration::try_from_secs_f64(*at).ok()
            }
            Pace::Traced { trace, number } => {
                *number += 1;
                trace.moment(*number - 1, self.rate)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{ArrivalShape, Step};

    #[test]
    fn the_same_seed_gives_the_same_moments() {
        let moments =
            |seed| ArrivalTimes::new(&Workload::default(), 500.0, seed).take(10_000).collect::<Vec<_>>();
        assert_eq!(moments(7), moments(7));
        assert_ne!(moments(7), moments(8));
    }

    #[test]
    fn arrivals_follow_their_shape_and_scatter_all_the_same() {
        let step = |rate, seconds| Step { users: None, rate: Some(rate), seconds };
        let shape =
            ArrivalShape::Steps { steps: vec![step(100.0, 50.0), step(0.0, 50.0), step(400.0, 50.0)] };
        let workload = Workload { arrivals: Some(shape), ..Workload::default() };
        let moments: Vec<f64> = ArrivalTimes::new(&workload, 1.0, 4)
            .map(|at| at.as_secs_f64())
            .take_while(|at| *at < 150.0)
            .collect();
        let within = |from: f64, to: f64| moments.iter().filter(|at| (from..to).contains(*at)).count();
        assert!(
            (4_750..5_250).contains(&within(0.0, 50.0)) && (19_500..20_500).contains(&within(100.0, 150.0))
        );
        assert_eq!(within(50.001, 100.0), 0);
        assert!(moments.is_sorted());
        let mean = workload.mean_rate(Duration::from_secs(150)).unwrap();
        assert!((mean - 25_000.0 / 150.0).abs() < 1e-6, "{mean}");
    }

    #[test]
    fn so_many_users_make_the_requests_of_their_think_times() {
        // 5 users every 0.3 s, 3 every 0.125 s, 1 every 2 s, 1 every 7.5 s.
        let wanted = (5.0 / 0.3 + 3.0 / 0.125 + 0.5 + 1.0 / 7.5) / 10.0;
        assert!((Workload::default().rate_per_user() - wanted).abs() < 1e-9);
        let steps = vec![Step { users: Some(100.0), rate: None, seconds: 10.0 }];
        let workload = Workload { arrivals: Some(ArrivalShape::Steps { steps }), ..Workload::default() };
        let count =
            ArrivalTimes::new(&workload, 1.0, 4).take_while(|at| *at < Duration::from_secs(10)).count();
        assert!((count as f64 / (wanted * 1_000.0) - 1.0).abs() < 0.05, "{count}");
    }

    #[test]
    fn arrivals_come_at_the_rate_and_scatter_as_a_poisson_process_does() {
        let mut counts = vec![0_u32; 1_000];
        let arrivals = ArrivalTimes::new(&Workload::default(), 100.0, 4);
        for at in arrivals.take_while(|at| *at < Duration::from_secs(1_000)) {
            counts[at.as_secs() as usize] += 1;
        }
        let mean = f64::from(counts.iter().sum::<u32>()) / 1_000.0;
        let variance = counts.iter().map(|count| (f64::from(*count) - mean).powi(2)).sum::<f64>() / 999.0;
        assert!((98.0..102.0).contains(&mean), "{mean}");
        assert!((85.0..115.0).contains(&variance), "a Poisson count's variance is its mean, not {variance}");
    }
}
