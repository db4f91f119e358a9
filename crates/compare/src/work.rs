//! Whether two runs sent the same work: what an iteration does follows from seed, scenario and
//! number, so iterations of the same number have to be alike, request by request.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::load::RequestChoice;

/// How far the iterations of two runs are alike; counts over all pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkAgreement {
    /// Iterations that both runs started.
    pub iterations: u64,
    /// Of these, those of the same flow in which every step that either took was the next one of
    /// the other, too, as far as both got. Requests that broke off, and values that an answer
    /// lacked, end an iteration early.
    pub same_iterations: u64,
    /// Requests of the same iteration and step in both.
    pub requests: u64,
    /// Of these, those with the same path and query. Paths that hold what the target made up, such
    /// as ids of visitors, need not be the same.
    pub same_paths: u64,
}

impl AddAssign for WorkAgreement {
    fn add_assign(&mut self, other: Self) {
        self.iterations += other.iterations;
        self.same_iterations += other.same_iterations;
        self.requests += other.requests;
        self.same_paths += other.same_paths;
    }
}

/// Compares what was sent; both sorted.
pub fn agreement(a: &[RequestChoice], b: &[RequestChoice]) -> WorkAgreement {
    let mut found = WorkAgreement::default();
    let mut others = b.chunk_by(|x, y| x.iteration == y.iteration).peekable();
    for ours in a.chunk_by(|x, y| x.iteration == y.iteration) {
        let number = ours[0].iteration;
        while others
            .next_if(|theirs| theirs[0].iteration < number)
            .is_some()
        {}
        let Some(theirs) = others.next_if(|theirs| theirs[0].iteration == number) else {
            continue;
        };
        found.iterations += 1;
        let step = |choice: &RequestChoice| (choice.flow, choice.step);
        let is_same = ours.iter().zip(theirs).all(|(x, y)| step(x) == step(y));
        found.same_iterations += u64::from(is_same);
        for choice in ours {
            let at_step = theirs.iter().find(|other| step(other) == step(choice));
            if let Some(other) = at_step {
                found.requests += 1;
                found.same_paths += u64::from(other.path == choice.path);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(iteration: u64, flow: u16, step: u16, path: u64) -> RequestChoice {
        RequestChoice {
            iteration,
            step,
            flow,
            path,
        }
    }

    #[test]
    fn alike_as_far_as_both_got() {
        let a = [choice(0, 1, 0, 7), choice(0, 1, 1, 8), choice(2, 0, 0, 7)];
        let b = [choice(0, 1, 0, 7), choice(1, 0, 0, 7), choice(2, 0, 0, 9)];
        let found = agreement(&a, &b);
        assert_eq!(
            found,
            WorkAgreement {
                iterations: 2,
                same_iterations: 2,
                requests: 2,
                same_paths: 1
            }
        );
    }

    #[test]
    fn another_flow_and_another_step_are_not_alike() {
        let a = [choice(0, 1, 0, 7), choice(1, 1, 0, 7), choice(1, 1, 1, 7)];
        let b = [choice(0, 2, 0, 7), choice(1, 1, 0, 7), choice(1, 1, 2, 7)];
        let found = agreement(&a, &b);
        assert_eq!((found.iterations, found.same_iterations), (2, 0));
        assert_eq!((found.requests, found.same_paths), (1, 1));
    }

    #[test]
    fn nothing_is_like_nothing() {
        assert_eq!(
            agreement(&[], &[choice(0, 0, 0, 0)]),
            WorkAgreement::default()
        );
    }
}
