//! How much load stands at which instant: stages that ramp linearly from the value before. Pure arithmetic.

use std::time::Duration;

use crate::float;

/// One stage: within `duration` the level moves in a straight line from where it was to `target`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// How long the stage takes; zero jumps.
    pub duration: Duration,
    /// The level at its end: virtual users, or requests per second.
    pub target: f64,
}

/// Stages in their order, starting from level zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    stages: Vec<Stage>,
}

impl Schedule {
    /// A schedule of these stages.
    pub fn new(stages: Vec<Stage>) -> Self {
        Self { stages }
    }

    /// One level from the start to the end.
    pub fn constant(level: f64, duration: Duration) -> Self {
        Self::new(vec![Stage { duration: Duration::ZERO, target: level }, Stage { duration, target: level }])
    }

    /// A ramp from zero within the first tenth (10 s at most), then the level. The ramp is no shorter than a think time
    /// where there is room for one: users who begin together go on in step, as people do not.
    pub fn ramped(level: f64, duration: Duration, think_time: Duration) -> Self {
        let ramp = (duration / 10).min(Duration::from_secs(10)).max(think_time.min(duration / 2));
        Self::new(vec![
            Stage { duration: ramp, target: level },
            Stage { duration: duration - ramp, target: level },
        ])
    }

    /// The stages.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// How long all stages take.
    pub fn duration(&self) -> Duration {
        self.stages.iter().map(|stage| stage.duration).sum()
    }

    /// The highest level.
    pub fn peak(&self) -> f64 {
        self.stages.iter().map(|stage| stage.target).fold(0.0, f64::max)
    }

    /// The level at an instant; zero after the end.
    pub fn level(&self, at: Duration) -> f64 {
        let mut from = 0.0;
        let mut begin = Duration::ZERO;
        for stage in &self.stages {
            let end = begin + stage.duration;
            if at < end {
                let share = (at - begin).as_secs_f64() / stage.duration.as_secs_f64();
                return from + (stage.target - from) * share;
            }
            (from, begin) = (stage.target, end);
        }
        0.0
    }

    /// The first instant from `after` on at which the level exceeds `index`, that is, when user number `index`
    /// (from 0) has work; `None` when it never does again.
    pub fn active_from(&self, index: usize, after: Duration) -> Option<Duration> {
        let wanted = float::from_usize(index);
        let mut from = 0.0;
        let mut begin = Duration::ZERO;
        for stage in &self.stages {
            let end = begin + stage.duration;
            if after < end {
                if self.level(after.max(begin)) > wanted {
                    return Some(after.max(begin));
                }
                if stage.target > wanted && stage.target > from {
                    let share = (wanted - from).max(0.0) / (stage.target - from);
                    // One microsecond later the level is above the mark, not on it.
                    let crossing = begin + stage.duration.mul_f64(share) + Duration::from_micros(1);
                    if crossing < end {
                        return Some(crossing.max(after));
                    }
                }
            }
            (from, begin) = (stage.target, end);
        }
        None
    }

    /// The intended send time of arrival number `index` (from 0) when the level is a rate per second; `None` after
    /// the last one. It is where the integral of the rate reaches `index`, so that the spacing is even.
    pub fn arrival(&self, index: u64) -> Option<Duration> {
        let mut missing = float::from_u64(index);
        let mut from = 0.0;
        let mut begin = Duration::ZERO;
        for stage in &self.stages {
            let seconds = stage.duration.as_secs_f64();
            let area = (from + stage.target) / 2.0 * seconds;
            if missing < area {
                let slope = (stage.target - from) / seconds;
                // Solves from*t + slope*t^2/2 = missing in the form that is stable for a slope near zero.
                let root = (from * from + 2.0 * slope * missing).max(0.0).sqrt();
                let t = if from + root > 0.0 { 2.0 * missing / (from + root) } else { 0.0 };
                return Some(begin + Duration::from_secs_f64(t.min(seconds)));
            }
            missing -= area;
            (from, begin) = (stage.target, begin + stage.duration);
        }
        None
    }

    /// How many arrivals there are in all.
    pub fn arrivals(&self) -> u64 {
        let mut from = 0.0;
        let mut area = 0.0;
        for stage in &self.stages {
            area += (from + stage.target) / 2.0 * stage.duration.as_secs_f64();
            from = stage.target;
        }
        float::to_u64(area.ceil())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_level_ramps_holds_and_ends() {
        let schedule = Schedule::new(vec![
            Stage { duration: s(10), target: 100.0 },
            Stage { duration: s(20), target: 100.0 },
            Stage { duration: s(10), target: 0.0 },
        ]);
        assert_eq!(schedule.duration(), s(40));
        for (at, level) in [(0, 0.0), (5, 50.0), (10, 100.0), (29, 100.0), (35, 50.0), (40, 0.0), (99, 0.0)] {
            assert!((schedule.level(s(at)) - level).abs() < 1e-9, "{at}");
        }
    }

    #[test]
    fn a_user_starts_when_the_ramp_reaches_it_and_not_again_after_the_end() {
        let schedule = Schedule::ramped(100.0, s(100), s(1));
        assert_eq!(schedule.active_from(0, s(0)).unwrap().as_secs(), 0);
        let middle = schedule.active_from(50, s(0)).unwrap();
        assert!((middle.as_secs_f64() - 5.0).abs() < 0.01, "{middle:?}");
        assert_eq!(schedule.active_from(50, s(60)), Some(s(60)));
        assert_eq!(schedule.active_from(100, s(0)), None);
        assert_eq!(schedule.active_from(0, s(100)), None);
    }

    #[test]
    fn users_of_a_short_run_begin_within_a_think_time_and_not_together() {
        let begins = |index| Schedule::ramped(100.0, s(5), s(1)).active_from(index, s(0)).unwrap();
        assert!((begins(50).as_secs_f64() - 0.5).abs() < 0.01, "{:?}", begins(50));
        let ramp = |think_time| Schedule::ramped(100.0, s(5), think_time).stages()[0].duration;
        assert_eq!([ramp(s(0)), ramp(s(60))], [Duration::from_millis(500), Duration::from_millis(2500)]);
    }

    #[test]
    fn users_that_a_valley_sends_home_come_back() {
        let schedule = Schedule::new(vec![
            Stage { duration: s(0), target: 10.0 },
            Stage { duration: s(10), target: 0.0 },
            Stage { duration: s(10), target: 10.0 },
        ]);
        let back = schedule.active_from(5, s(6)).unwrap();
        assert!((back.as_secs_f64() - 15.0).abs() < 0.01, "{back:?}");
    }

    #[test]
    fn arrivals_are_even_at_a_constant_rate_and_denser_up_a_ramp() {
        let flat = Schedule::constant(200.0, s(3));
        assert_eq!(flat.arrivals(), 600);
        assert_eq!(flat.arrival(100), Some(Duration::from_millis(500)));
        assert_eq!(flat.arrival(600), None);
        let ramp = Schedule::new(vec![Stage { duration: s(10), target: 100.0 }]);
        assert_eq!(ramp.arrivals(), 500);
        assert!((ramp.arrival(125).unwrap().as_secs_f64() - 5.0).abs() < 1e-6);
        let times: Vec<Duration> = (0..500).map(|i| ramp.arrival(i).unwrap()).collect();
        assert!(times.is_sorted());
    }
}
