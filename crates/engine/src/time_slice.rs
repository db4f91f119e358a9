//! A shorter time slice for threads that send: what runs beside them on the same processor, as the
//! recorder does, then gives way when a send is due, and not when its own slice is over
//! (docs/design/0124).

/// The shortest slice that Linux knows, in nanoseconds.
#[cfg(target_os = "linux")]
const SLICE_NS: u64 = 100_000;

/// Asks for the shortest slice for this thread. Its share of the processor stays what it is. Linux
/// has this since 6.12; where it is refused or not known all stays as it is.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub(crate) fn shorten() {
    let Ok(nice) = rustix::process::getpriority_process(None) else {
        return;
    };
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: 0,
        sched_flags: libc::SCHED_FLAG_KEEP_POLICY as u64,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: SLICE_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of a structure that lives until the call returns, and
    // changes nothing but how this thread is scheduled.
    unsafe {
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
    }
}

/// Other systems have their own ways.
#[cfg(not(target_os = "linux"))]
pub(crate) fn shorten() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn priority_stays_what_it_is() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        shorten();
        assert_eq!(nice(), before);
    }
}
