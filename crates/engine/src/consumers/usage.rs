//! What sending costs: processor time and memory of the processes that do it.

use loadgen_timeline::summary::GeneratorUsage;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Processor time since the run began, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct CpuSeconds {
    pub(super) generator: f64,
    /// None: the generator is this process.
    pub(super) harness: Option<f64>,
}

/// Looks at the processes that send.
#[derive(Debug)]
pub(super) struct Meter {
    /// None where the system does not tell.
    system: Option<System>,
    this: Option<Measured>,
    k6: Option<Measured>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    pid: Pid,
    /// Processor time when the run began, in milliseconds.
    before_ms: u64,
    cpu_ms: u64,
    max_rss_bytes: u64,
}

impl Meter {
    /// Begins with this process.
    pub(super) fn new() -> Self {
        let mut meter = Self {
            system: System::new().ok(),
            this: None,
            k6: None,
        };
        meter.this = sysinfo::get_current_pid()
            .ok()
            .and_then(|pid| meter.begin(pid));
        meter
    }

    /// Another process sends, and this one follows it.
    pub(super) fn follow(&mut self, pid: u32) {
        self.k6 = self.begin(Pid::from_u32(pid));
    }

    fn begin(&mut self, pid: Pid) -> Option<Measured> {
        let (cpu_ms, rss_bytes) = self.read(pid)?;
        Some(Measured {
            pid,
            before_ms: cpu_ms,
            cpu_ms,
            max_rss_bytes: rss_bytes,
        })
    }

    /// Looks at both processes. What one that has ended used is what was seen last.
    pub(super) fn look(&mut self) -> CpuSeconds {
        for which in [false, true] {
            let held = if which { self.k6 } else { self.this };
            let Some(mut measured) = held else { continue };
            if let Some((cpu_ms, rss_bytes)) = self.read(measured.pid) {
                measured.cpu_ms = measured.cpu_ms.max(cpu_ms);
                measured.max_rss_bytes = measured.max_rss_bytes.max(rss_bytes);
            }
            *(if which { &mut self.k6 } else { &mut self.this }) = Some(measured);
        }
        let seconds = |m: Measured| (m.cpu_ms - m.before_ms) as f64 / 1e3;
        let this = self.this.map_or(0.0, seconds);
        match self.k6 {
            Some(k6) => CpuSeconds {
                generator: seconds(k6),
                harness: Some(this),
            },
            None => CpuSeconds {
                generator: this,
                harness: None,
            },
        }
    }

    /// The whole run so far.
    pub(super) fn usage(&mut self) -> Option<GeneratorUsage> {
        let cpu = self.look();
        let generator = self.k6.or(self.this)?;
        let harness = self.k6.and(self.this);
        Some(GeneratorUsage {
            process: if self.k6.is_some() { "k6" } else { "rust" }.to_owned(),
            cpu_seconds: cpu.generator,
            max_rss_bytes: generator.max_rss_bytes,
            harness_cpu_seconds: cpu.harness,
            harness_max_rss_bytes: harness.map(|harness| harness.max_rss_bytes),
        })
    }

    /// Processor time in milliseconds and resident memory in bytes; none: the process is gone.
    fn read(&mut self, pid: Pid) -> Option<(u64, u64)> {
        let system = self.system.as_mut()?;
        system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&[pid]),
            true,
            ProcessRefreshKind::nothing().with_cpu().with_memory(),
        );
        let process = system.process(pid)?;
        Some((process.accumulated_cpu_time(), process.memory()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn work_of_this_process_and_of_another_is_seen() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let mut meter = Meter::new();
        meter.follow(child.id());
        let begin = Instant::now();
        while meter.look().generator < 0.1 && begin.elapsed() < Duration::from_secs(30) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let usage = meter.usage().unwrap();
        assert_eq!(usage.process, "k6");
        assert!(usage.cpu_seconds >= 0.1, "also after its end: {usage:?}");
        assert!(usage.harness_cpu_seconds.unwrap() > 0.0);
        assert!(usage.max_rss_bytes > 100_000 && usage.harness_max_rss_bytes.unwrap() > 1_000_000);
    }
}
