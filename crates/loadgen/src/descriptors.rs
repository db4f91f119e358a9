//! The limit of file descriptors: each connection of a VU takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of this process to the hard one. The soft one is low by default for the
/// sake of programs that use `select`, which this one does not. Processes that are started from here
/// have the same limit.
///
/// A system that refuses leaves the limit as it is; a run that comes to it says so.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, raised(limit));
}

fn raised(limit: Rlimit) -> Rlimit {
    Rlimit {
        current: limit.maximum,
        ..limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one_and_the_hard_one_stays() {
        for maximum in [Some(4096), None] {
            let limit = Rlimit {
                current: Some(1024),
                maximum,
            };
            let limit = raised(limit);
            assert_eq!((limit.current, limit.maximum), (maximum, maximum));
        }
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
