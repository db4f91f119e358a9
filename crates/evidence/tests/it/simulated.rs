//! A made-up shop whose windows can be drawn by the thousand: requests come at random times, load
//! and mix differ between the window and normal time, and durations are alike for as long as a
//! machine's mood lasts. What is drawn depends on the seed alone.

use loadgen_evidence::{
    CallObservation, Declared, EvidenceWindow, Interval, MetricPoint, Reading, Recovery, Run,
    SECOND_NS, Sample, Sampler, Series, SpanKind, SpanObservation, Stretches, WindowKind,
    trace_hash,
};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal, Normal};

/// What is wrong in the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// Nothing: a sham.
    Nothing,
    /// Two of the service's five operations take so many ms more.
    Slow(f64),
    /// This share of its requests fails.
    Errors(f64),
    /// The service has no time to take requests: its callers wait so many ms longer on average.
    Starved(f64),
    /// This share of cache lookups misses, each of which costs a statement more.
    Misses(f64),
    /// This share of the requests waits for a connection, for 50 to 500 ms.
    PoolWait(f64),
    /// This share of its requests does not get an answer.
    Dead(f64),
}

/// A window and the normal time before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drawn {
    /// What everything is drawn from.
    pub(crate) seed: u64,
    /// Length of the window's steady time, seconds.
    pub(crate) window_s: f64,
    /// Length of the steady normal time, seconds.
    pub(crate) reference_s: f64,
    /// Requests to the service a second in normal time.
    pub(crate) rate: f64,
    /// Times as many in the window.
    pub(crate) load: f64,
    /// How much durations follow load: they are multiplied with `load` to this power. Below 0: the
    /// more load, the faster, as warm caches and clocks make it.
    pub(crate) load_exponent: f64,
    /// The mix of operations differs between the window and normal time.
    pub(crate) other_mix: bool,
    /// Standard deviation of the machine's mood, on the scale of logarithms.
    pub(crate) mood: f64,
    /// Durations and gaps are as many times as long as in the demo shop: 1 for tenths of a ms.
    pub(crate) scale: f64,
    /// How long a mood lasts, seconds: the time after which it is down to 1/e.
    pub(crate) mood_s: f64,
    /// What is wrong.
    pub(crate) fault: Fault,
    /// How long after its confirmation the fault begins to show, seconds.
    pub(crate) onset_s: f64,
    /// How long after it was cleared it goes on, seconds. Ten seconds are drawn after the window.
    pub(crate) recovery_s: f64,
    /// The service that calls has spans, too.
    pub(crate) caller: bool,
}

impl Default for Drawn {
    fn default() -> Self {
        Self {
            seed: 1,
            window_s: 11.0,
            reference_s: 11.4,
            rate: 8.0,
            load: 2.0,
            load_exponent: 0.0,
            other_mix: true,
            mood: 0.2,
            scale: 1.0,
            mood_s: 0.5,
            fault: Fault::Nothing,
            onset_s: 0.0,
            recovery_s: 0.0,
            caller: false,
        }
    }
}

/// The service that is declared.
pub(crate) const SERVICE: &str = "catalogue";

/// The service that calls it.
pub(crate) const CALLER: &str = "web";

const OPERATIONS: [(&str, f64); 5] = [
    ("GET /categories", 0.05),
    ("GET /products", 0.2),
    ("GET /product/{sku}", 0.19),
    ("GET /products/{category}", 0.2),
    ("GET /search/{text}", 0.6),
];

/// Time drawn after the window, seconds.
const AFTER_S: f64 = 10.0;

/// The machine's mood over time: an autoregressive process in steps of 50 ms.
struct Mood {
    steps: Vec<f64>,
}

impl Mood {
    const STEP_S: f64 = 0.05;

    fn new(drawn: &Drawn, seconds: f64, rng: &mut ChaCha8Rng) -> Self {
        let keeps = (-Self::STEP_S / drawn.mood_s).exp();
        let noise = Normal::new(0.0, drawn.mood * (1.0 - keeps * keeps).sqrt()).unwrap();
        let mut mood = Normal::new(0.0, drawn.mood).unwrap().sample(rng);
        let steps = (0..(seconds / Self::STEP_S) as usize + 1).map(|_| {
            mood = mood * keeps + noise.sample(rng);
            mood
        });
        Self {
            steps: steps.collect(),
        }
    }

    fn factor(&self, at_s: f64) -> f64 {
        self.steps[(at_s / Self::STEP_S) as usize].exp()
    }
}

impl Drawn {
    /// The run of normal time and one window, and what was observed of it.
    pub(crate) fn run(&self) -> (Run, Sample) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let closed_s = self.reference_s + self.window_s;
        let end_s = closed_s + AFTER_S;
        let (cut, closed, end) = (ns(self.reference_s), ns(closed_s), ns(end_s));
        let mut sampler = Sampler::new(Stretches::new([0, cut, closed, end + 60 * SECOND_NS]));
        let mood = Mood::new(self, end_s, &mut rng);
        let mut counts = vec![Second::default(); end_s as usize + 2];
        let shows_s = self.reference_s + self.onset_s;
        let gone_s = closed_s + self.recovery_s;
        for (from_s, to_s, load, fault) in [
            (0.0, self.reference_s, 1.0, Fault::Nothing),
            (self.reference_s, shows_s, self.load, Fault::Nothing),
            (shows_s, gone_s, self.load, self.fault),
            (gone_s, end_s, self.load, Fault::Nothing),
        ] {
            let phase = Phase {
                from_s,
                to_s,
                load,
                fault,
            };
            self.phase(phase, &mood, &mut rng, &mut sampler, &mut counts);
        }
        self.metrics(&counts, &mut rng, &mut sampler);
        let declared = Declared {
            kind: "drawn".into(),
            root_cause_service: Some(SERVICE.into()),
        };
        let window = EvidenceWindow {
            index: 1,
            scenario: "drawn".into(),
            kind: match self.fault {
                Fault::Nothing => WindowKind::Sham(declared),
                _ => WindowKind::Anomalous(declared),
            },
            opened_ns: cut,
            closed_ns: closed,
            own: vec![Interval::new(cut, closed)],
            steady: vec![Interval::new(ns(shows_s), closed)],
            injected_ns: Some(cut),
            recovery: Some(Recovery {
                cleared_ns: closed,
                until_ns: end,
            }),
        };
        let run = Run {
            run_id: format!("{:032x}", self.seed),
            reference: vec![Interval::new(0, cut)],
            windows: vec![window],
        };
        (run, sampler.finish())
    }

    fn phase(
        &self,
        phase: Phase,
        mood: &Mood,
        rng: &mut ChaCha8Rng,
        sampler: &mut Sampler,
        counts: &mut [Second],
    ) {
        let Phase {
            from_s,
            to_s,
            load,
            fault,
        } = phase;
        let mix: Vec<f64> = OPERATIONS
            .iter()
            .map(|_| {
                if self.other_mix {
                    rng.random_range(0.3..2.0)
                } else {
                    1.0
                }
            })
            .collect();
        let all: f64 = mix.iter().sum();
        let service = sampler.service(SERVICE);
        let caller = self.caller.then(|| sampler.service(CALLER));
        let edge = sampler.edge(CALLER, SERVICE);
        for (number, (name, median_ms)) in OPERATIONS.iter().enumerate() {
            let operation = sampler.operation(service, name, SpanKind::Server);
            let calling = caller.map(|of| (of, sampler.operation(of, name, SpanKind::Server)));
            let entry = sampler.entry(name);
            let durations = LogNormal::new(median_ms.ln(), 0.35).unwrap();
            let gaps = LogNormal::new(0.27_f64.ln(), 0.3).unwrap();
            let rate = self.rate * load * mix[number] / all;
            let mut at_s = from_s;
            loop {
                // Between requests: an exponential time.
                at_s -= (1.0 - rng.random::<f64>()).ln() / rate;
                if at_s >= to_s {
                    break;
                }
                let slower = self.scale * mood.factor(at_s) * load.powf(self.load_exponent);
                let mut duration_ms = durations.sample(rng) * slower;
                let mut gap_ms = gaps.sample(rng) * slower;
                let second = &mut counts[at_s as usize];
                let mut error = false;
                let mut spans_below = 1;
                let misses = match fault {
                    Fault::Misses(share) => share,
                    _ => 0.05,
                };
                let misses = rng.random_bool(misses);
                second.lookups[usize::from(misses)] += 1.0;
                spans_below += u32::from(misses);
                duration_ms += if misses { 0.08 } else { 0.0 };
                let chance = rng.random::<f64>();
                match fault {
                    Fault::Slow(more_ms) if number < 2 => {
                        duration_ms += more_ms * rng.random_range(0.5..1.5);
                    }
                    Fault::Errors(share) if chance < share => error = true,
                    Fault::Starved(more_ms) => gap_ms += -more_ms * (1.0 - chance).ln(),
                    Fault::PoolWait(share) if chance < share => {
                        let waited = rng.random_range(50.0..500.0);
                        duration_ms += waited;
                        second.waited_s += waited / 1e3;
                        spans_below += 1;
                    }
                    _ => {}
                }
                let trace = trace_hash(&rng.random::<[u8; 16]>());
                let moment_ns = ns(at_s);
                if matches!(fault, Fault::Dead(share) if chance < share) {
                    sampler.trace(trace, moment_ns, entry, &[]);
                    continue;
                }
                let (duration_ns, gap_ns) = (ns(duration_ms / 1e3), ns(gap_ms / 1e3));
                match calling {
                    None => sampler.trace(trace, moment_ns, entry, &[service]),
                    Some((caller, calling)) => {
                        sampler.trace(trace, moment_ns, entry, &[service, caller]);
                        let own_ns = ns(durations.sample(rng) * slower / 1e3);
                        let observation = SpanObservation {
                            trace,
                            moment_ns,
                            start_ns: moment_ns,
                            duration_ns: own_ns + gap_ns + duration_ns,
                            own_ns,
                            gap_ns: None,
                            spans_below: 1,
                            error: false,
                            error_below: false,
                        };
                        sampler.span(calling, &observation);
                    }
                }
                sampler.span(
                    operation,
                    &SpanObservation {
                        trace,
                        moment_ns,
                        start_ns: moment_ns,
                        duration_ns,
                        own_ns: duration_ns,
                        gap_ns: Some(gap_ns),
                        spans_below,
                        error,
                        error_below: false,
                    },
                );
                sampler.call(
                    edge,
                    &CallObservation {
                        trace,
                        moment_ns,
                        duration_ns: duration_ns + gap_ns,
                        gap_ns,
                        error,
                    },
                );
                second.cpu_s += duration_ms / 1e3 * 0.8;
            }
        }
    }

    /// Points of metrics, each second.
    fn metrics(&self, counts: &[Second], rng: &mut ChaCha8Rng, sampler: &mut Sampler) {
        for (index, second) in counts.iter().enumerate() {
            let from_s = index as f64 + 0.4;
            let starved = matches!(self.fault, Fault::Starved(_)) && from_s > self.reference_s;
            // Some time without any request, in ticks of 10 ms.
            let cpu_s = 0.01 + second.cpu_s + if starved { 0.6 } else { 0.0 };
            let ticks = (cpu_s * 100.0 + rng.random::<f64>()).floor() / 100.0;
            let mut metric = |metric: &str, unit: &str, attributes: &str, value: f64| {
                let series = Series {
                    service: SERVICE.into(),
                    metric: metric.into(),
                    unit: unit.into(),
                    attributes: attributes.into(),
                };
                let point = MetricPoint {
                    interval_start_ns: ns(from_s),
                    end_ns: ns(from_s + 1.0),
                    reading: Reading::Increase(value),
                };
                sampler.metric(&series, &point);
            };
            metric("process.cpu.time", "s", "{}", ticks);
            metric("db.client.connection.wait_time", "s", "{}", second.waited_s);
            for (result, count) in ["hit", "miss"].iter().zip(second.lookups) {
                let attributes = format!(r#"{{"cache.result":"{result}"}}"#);
                metric("cache.requests", "{request}", &attributes, count);
            }
        }
    }
}

/// A time in which everything stays as it is.
#[derive(Debug, Clone, Copy)]
struct Phase {
    from_s: f64,
    to_s: f64,
    load: f64,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    cpu_s: f64,
    waited_s: f64,
    /// Hits and misses.
    lookups: [f64; 2],
}

fn ns(seconds: f64) -> i64 {
    (seconds * SECOND_NS as f64) as i64
}
