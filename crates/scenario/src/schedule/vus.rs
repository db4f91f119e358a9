//! How many VUs run when, for the executors that loop VUs (k6's closed model). On the way up a VU
//! starts when the line reaches a whole number; on the way down one is taken away when the line
//! reaches the next whole number below. A stage of no length jumps.

use super::line::Line;
use crate::plan::Executor;

/// The number of VUs over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VuSchedule {
    start_vus: u32,
    lines: Vec<Line>,
}

impl VuSchedule {
    /// The schedule of an executor that loops VUs; none for the arrival-rate executors, and for
    /// what is not known before the run. Executors with a fixed number of VUs have one step at 0.
    pub fn new(executor: &Executor) -> Option<Self> {
        match executor {
            Executor::ConstantVus { vus, .. }
            | Executor::PerVuIterations { vus, .. }
            | Executor::SharedIterations { vus, .. } => Some(Self {
                start_vus: *vus,
                lines: Vec::new(),
            }),
            Executor::RampingVus {
                start_vus, stages, ..
            } => Some(Self {
                start_vus: *start_vus,
                lines: Line::through(*start_vus, stages),
            }),
            Executor::ConstantArrivalRate { .. }
            | Executor::RampingArrivalRate { .. }
            | Executor::ExternallyControlled { .. }
            | Executor::NoLoad { .. } => None,
        }
    }

    /// The steps `(at_ns, vus)`: from `at_ns` on, `vus` VUs run. The first is at 0; times never
    /// go back, and each step changes the number. The end of the window is not a step.
    pub fn steps(&self) -> VuSteps<'_> {
        VuSteps {
            schedule: self,
            next_line: 0,
            within: None,
            first: true,
            vus: self.start_vus,
        }
    }
}

/// Iterator of [`VuSchedule::steps`].
#[derive(Debug, Clone)]
pub struct VuSteps<'s> {
    schedule: &'s VuSchedule,
    next_line: usize,
    /// Changes already made on the line before `next_line`.
    within: Option<u32>,
    first: bool,
    vus: u32,
}

impl VuSteps<'_> {
    /// The next change, or none at the end.
    fn change(&mut self) -> Option<(u64, u32)> {
        loop {
            if let Some(done) = self.within {
                let line = self.schedule.lines[self.next_line - 1];
                let height = line.from.abs_diff(line.to);
                if done < height {
                    let done = if line.length_ns == 0 {
                        height
                    } else {
                        done + 1
                    };
                    self.within = Some(done);
                    self.vus = if line.to >= line.from {
                        line.from + done
                    } else {
                        line.from - done
                    };
                    let offset = (u128::from(done) * u128::from(line.length_ns))
                        .div_ceil(u128::from(height));
                    // `done <= height`, so the offset is at most the line's length.
                    return Some((line.start_ns.saturating_add(offset as u64), self.vus));
                }
            }
            if self.next_line == self.schedule.lines.len() {
                return None;
            }
            self.next_line += 1;
            self.within = Some(0);
        }
    }
}

impl Iterator for VuSteps<'_> {
    type Item = (u64, u32);

    fn next(&mut self) -> Option<(u64, u32)> {
        if self.first {
            self.first = false;
            // Jumps at the very start replace the first step.
            let mut jumps = 0;
            while self
                .schedule
                .lines
                .get(jumps)
                .is_some_and(|line| line.length_ns == 0)
            {
                self.vus = self.schedule.lines[jumps].to;
                jumps += 1;
            }
            self.next_line = jumps;
            return Some((0, self.vus));
        }
        self.change()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Stage;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn ramping(start_vus: u32, stages: &[(u64, u32)]) -> VuSchedule {
        let stages = stages
            .iter()
            .map(|&(duration_ns, target)| Stage {
                duration_ns,
                target,
            })
            .collect();
        VuSchedule::new(&Executor::RampingVus {
            start_vus,
            stages,
            graceful_ramp_down_ns: 0,
        })
        .unwrap()
    }

    #[test]
    fn as_measured_on_k6() {
        let steps: Vec<_> = ramping(1, &[(2 * SECOND, 4), (2 * SECOND, 0)])
            .steps()
            .collect();
        let rounded: Vec<_> = steps
            .iter()
            .map(|&(at, vus)| (at / 1_000_000, vus))
            .collect();
        assert_eq!(
            rounded,
            [
                (0, 1),
                (666, 2),
                (1333, 3),
                (2000, 4),
                (2500, 3),
                (3000, 2),
                (3500, 1),
                (4000, 0)
            ]
        );
    }

    #[test]
    fn moments_are_rounded_up_to_whole_nanoseconds() {
        let steps: Vec<_> = ramping(1, &[(2 * SECOND, 4)]).steps().collect();
        assert_eq!(
            steps,
            [
                (0, 1),
                (666_666_667, 2),
                (1_333_333_334, 3),
                (2_000_000_000, 4)
            ]
        );
    }

    #[test]
    fn stages_without_length_jump() {
        let schedule = ramping(1, &[(0, 10), (SECOND, 10), (0, 3), (SECOND, 3), (0, 7)]);
        let steps: Vec<_> = schedule.steps().collect();
        assert_eq!(steps, [(0, 10), (SECOND, 3), (2 * SECOND, 7)]);
    }

    #[test]
    fn a_fixed_number_is_one_step() {
        let schedule = VuSchedule::new(&Executor::ConstantVus {
            vus: 5,
            duration_ns: SECOND,
        })
        .unwrap();
        assert_eq!(schedule.steps().collect::<Vec<_>>(), [(0, 5)]);
    }

    /// VUs by the line itself: whole numbers that it has reached since its start.
    fn on_the_line(start: u32, stages: &[(u64, u32)], at: u64) -> u32 {
        let (mut from, mut began) = (start, 0);
        for &(length, to) in stages {
            if at < began + length {
                let change = u64::from(from.abs_diff(to)) * (at - began) / length;
                return if to > from {
                    from + change as u32
                } else {
                    from - change as u32
                };
            }
            (from, began) = (to, began + length);
        }
        from
    }

    proptest! {
        #[test]
        fn steps_follow_the_line(start in 0u32..20,
                                  stages in prop::collection::vec((0u64..5_000, 0u32..20), 0..6)) {
            let schedule = ramping(start, &stages);
            let steps: Vec<_> = schedule.steps().collect();
            prop_assert_eq!(steps[0].0, 0);
            prop_assert!(steps.windows(2).all(|w| w[0].0 <= w[1].0 && w[0].1 != w[1].1));
            let end: u64 = stages.iter().map(|s| s.0).sum();
            for at in 0..=end {
                let stepped = steps.iter().rev().find(|s| s.0 <= at).unwrap().1;
                // One step up and one down of neighbouring lines may meet in the same
                // nanosecond; the last one holds.
                prop_assert_eq!(stepped, on_the_line(start, &stages, at), "at {}", at);
            }
        }
    }
}
