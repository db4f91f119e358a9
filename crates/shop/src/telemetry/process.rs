//! CPU time and memory of the service's own process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::metrics::Meter;
use opentelemetry_semantic_conventions::metric as semconv;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// The three instruments are read one after the other; they share a reading.
const SHARED_FOR: Duration = Duration::from_millis(100);

struct Reading {
    at: Instant,
    cpu_seconds: f64,
    utilization: f64,
    memory_bytes: u64,
}

struct Sampler {
    system: System,
    pid: Pid,
    cpus: f64,
    last: Option<Reading>,
}

impl Sampler {
    fn new() -> Option<Self> {
        Some(Sampler {
            system: System::new().ok()?,
            pid: sysinfo::get_current_pid().ok()?,
            cpus: std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64),
            last: None,
        })
    }

    fn read(&mut self) -> Option<&Reading> {
        let fresh = self
            .last
            .as_ref()
            .is_some_and(|r| r.at.elapsed() < SHARED_FOR);
        if !fresh {
            self.system.refresh_processes_specifics(
                ProcessesToUpdate::Some(&[self.pid]),
                false,
                ProcessRefreshKind::nothing()
                    .with_cpu()
                    .with_memory()
                    .without_tasks(),
            );
            let process = self.system.process(self.pid)?;
            let at = Instant::now();
            let cpu_seconds = process.accumulated_cpu_time() as f64 / 1e3;
            let utilization = self.last.as_ref().map_or(0.0, |before| {
                let wall = at.duration_since(before.at).as_secs_f64();
                ((cpu_seconds - before.cpu_seconds) / (wall * self.cpus)).max(0.0)
            });
            self.last = Some(Reading {
                at,
                cpu_seconds,
                utilization,
                memory_bytes: process.memory(),
            });
        }
        self.last.as_ref()
    }
}

/// Registers `process.cpu.time` (s), `process.cpu.utilization` (share of all CPUs, 0 to 1) and
/// `process.memory.usage` (bytes).
pub(crate) fn observe(meter: &Meter) {
    let Some(sampler) = Sampler::new() else {
        return;
    };
    let sampler = Arc::new(Mutex::new(sampler));
    let read = move |value: &dyn Fn(&Reading)| {
        let mut sampler = sampler.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = sampler.read() {
            value(reading);
        }
    };
    let read = Arc::new(read);
    let of = Arc::clone(&read);
    let _cpu_time = meter
        .f64_observable_counter(semconv::PROCESS_CPU_TIME)
        .with_unit("s")
        .with_description("CPU seconds the process has used.")
        .with_callback(move |gauge| of(&|r| gauge.observe(r.cpu_seconds, &[])))
        .build();
    let of = Arc::clone(&read);
    let _utilization = meter
        .f64_observable_gauge(semconv::PROCESS_CPU_UTILIZATION)
        .with_unit("1")
        .with_description("CPU time since the last reading, divided by elapsed time and CPUs.")
        .with_callback(move |gauge| of(&|r| gauge.observe(r.utilization, &[])))
        .build();
    let _memory = meter
        .i64_observable_up_down_counter(semconv::PROCESS_MEMORY_USAGE)
        .with_unit("By")
        .with_description("Physical memory in use.")
        .with_callback(move |gauge| {
            read(&|r| gauge.observe(i64::try_from(r.memory_bytes).unwrap_or(i64::MAX), &[]));
        })
        .build();
}
