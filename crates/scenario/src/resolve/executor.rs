//! k6's executors from their options: which option belongs to which, which are required, what the
//! others are when left out, and which values make no sense.

use super::GRACE_NS;
use super::timetable::MAX_DURATION;
use crate::diagnostic::{Finding, Span};
use crate::duration::Duration;
use crate::file::{ExecutorName, ScenarioFile, ScenarioSpec, ShapeSpec, Share, StageSpec};
use crate::plan::{Executor, Stage};
use crate::shape::{self, Jumps, MOST_POINTS, Shape};
use crate::yaml::Node;

/// The most VUs, and the highest rate per time unit and per second. Far above what a machine can
/// do; below it all of the schedule's integers are exact.
const MAX_COUNT: u32 = 1_000_000;
const TOO_MANY: &str = "give less; where that is not a slip, spread the load over several machines";
/// The most iterations of a scenario, exact in a JSON number.
const MAX_ITERATIONS: u64 = crate::prng::MAX_SAFE_INTEGER;
/// k6's default of `timeUnit`.
const SECOND: Duration = Duration { ns: 1_000_000_000 };

/// Time between two points of a shape where the file says nothing.
const EVERY: Duration = Duration { ns: 10_000_000_000 };
/// How far they are off the course of the day.
const NOISE: Share = Share(0.05);
/// The most jumps of a shape.
const MOST_JUMPS: u64 = 2_000;

const ALL: [(ExecutorName, &str); 8] = [
    (ExecutorName::ConstantVus, "constant-vus"),
    (ExecutorName::RampingVus, "ramping-vus"),
    (ExecutorName::ConstantArrivalRate, "constant-arrival-rate"),
    (ExecutorName::RampingArrivalRate, "ramping-arrival-rate"),
    (ExecutorName::PerVuIterations, "per-vu-iterations"),
    (ExecutorName::SharedIterations, "shared-iterations"),
    (ExecutorName::ExternallyControlled, "externally-controlled"),
    (ExecutorName::NoLoad, "none"),
];

fn name_of(executor: ExecutorName) -> &'static str {
    ALL.iter()
        .find(|(known, _)| *known == executor)
        .map_or("", |(_, name)| name)
}

/// Options of an executor beside those that every scenario has.
fn options_of(executor: ExecutorName) -> &'static [&'static str] {
    match executor {
        ExecutorName::ConstantVus => &["vus", "duration"],
        ExecutorName::RampingVus => &["start_vus", "stages", "shape", "graceful_ramp_down"],
        ExecutorName::ConstantArrivalRate => &[
            "rate",
            "time_unit",
            "duration",
            "pre_allocated_vus",
            "max_vus",
        ],
        ExecutorName::RampingArrivalRate => &[
            "start_rate",
            "time_unit",
            "stages",
            "shape",
            "pre_allocated_vus",
            "max_vus",
        ],
        ExecutorName::PerVuIterations | ExecutorName::SharedIterations => {
            &["vus", "iterations", "max_duration"]
        }
        ExecutorName::ExternallyControlled => &["vus_from", "vus", "max_vus", "duration"],
        ExecutorName::NoLoad => &["duration"],
    }
}

/// The executor of a scenario; none where it could not be made, which is then reported.
pub(super) fn resolve(
    file: &ScenarioFile,
    seed: u64,
    (name, spec): (&str, &ScenarioSpec),
    at: &Node,
    key: Span,
    findings: &mut Vec<Finding>,
) -> Option<Executor> {
    let before = findings.len();
    let mut options = Options {
        name,
        seed,
        spec,
        at,
        key,
        findings,
    };
    options.check_strangers();
    let executor = options.executor(file);
    if findings.len() == before {
        executor
    } else {
        None
    }
}

/// An executor that follows a flag, with another number of VUs to begin with; others stay as they
/// are.
pub(super) fn beginning_with(
    mut executor: Executor,
    wanted: u32,
    scenario: &str,
    findings: &mut Vec<Finding>,
) -> Executor {
    if let Executor::ExternallyControlled { vus, max_vus, .. } = &mut executor {
        if wanted > *max_vus {
            let message =
                format!("{wanted} VUs, given for this run, are more than `{scenario}` may have");
            findings.push(Finding::of_options(message).help(format!("its `max_vus` is {max_vus}")));
        }
        *vus = wanted;
    }
    executor
}

struct Options<'o> {
    name: &'o str,
    /// Of the run.
    seed: u64,
    spec: &'o ScenarioSpec,
    at: &'o Node,
    key: Span,
    findings: &'o mut Vec<Finding>,
}

impl Options<'_> {
    fn executor(&mut self, file: &ScenarioFile) -> Option<Executor> {
        Some(match self.spec.executor {
            ExecutorName::ConstantVus => {
                let vus = self.count("vus", self.spec.vus, 1);
                Executor::ConstantVus {
                    vus,
                    duration_ns: self.length()?,
                }
            }
            ExecutorName::RampingVus => self.ramping_vus(file)?,
            ExecutorName::ConstantArrivalRate => self.constant_arrival_rate()?,
            ExecutorName::RampingArrivalRate => self.ramping_arrival_rate()?,
            ExecutorName::PerVuIterations => self.per_vu_iterations(),
            ExecutorName::SharedIterations => self.shared_iterations(),
            ExecutorName::ExternallyControlled => self.externally_controlled(file)?,
            ExecutorName::NoLoad => Executor::NoLoad {
                duration_ns: self.length()?,
            },
        })
    }

    fn ramping_vus(&mut self, file: &ScenarioFile) -> Option<Executor> {
        let spec = self.spec;
        let (start_vus, stages) = self.line("start_vus", spec.start_vus, 1)?;
        let default = file.defaults.graceful_ramp_down;
        let grace = spec
            .graceful_ramp_down
            .or(default)
            .map_or(GRACE_NS, |grace| grace.ns);
        Some(Executor::RampingVus {
            start_vus,
            stages,
            graceful_ramp_down_ns: grace,
        })
    }

    fn constant_arrival_rate(&mut self) -> Option<Executor> {
        let rate = self.required("rate", self.spec.rate);
        let time_unit_ns = self.time_unit();
        let duration_ns = self.length();
        let (pre_allocated_vus, max_vus) = self.arrival_vus()?;
        let (rate, duration_ns) = (self.at_least_one("rate", rate?), duration_ns?);
        self.check_rate("rate", rate, time_unit_ns, self.place("rate"));
        Some(Executor::ConstantArrivalRate {
            rate,
            time_unit_ns,
            duration_ns,
            pre_allocated_vus,
            max_vus,
        })
    }

    fn ramping_arrival_rate(&mut self) -> Option<Executor> {
        let time_unit_ns = self.time_unit();
        let line = self.line("start_rate", self.spec.start_rate, 0);
        self.check_rates(time_unit_ns);
        let (pre_allocated_vus, max_vus) = self.arrival_vus()?;
        let (start_rate, stages) = line?;
        Some(Executor::RampingArrivalRate {
            start_rate,
            time_unit_ns,
            stages,
            pre_allocated_vus,
            max_vus,
        })
    }

    fn per_vu_iterations(&mut self) -> Executor {
        let vus = self.count("vus", self.spec.vus, 1);
        let (iterations, max_duration_ns) = (self.iterations(), self.max_duration());
        if iterations.saturating_mul(u64::from(vus)) > MAX_ITERATIONS {
            let message = format!("{vus} VUs with {iterations} iterations each");
            let help = format!("together they run at most {MAX_ITERATIONS}");
            self.findings
                .push(Finding::at(self.place("iterations"), message).help(help));
        }
        Executor::PerVuIterations {
            vus,
            iterations,
            max_duration_ns,
        }
    }

    fn shared_iterations(&mut self) -> Executor {
        let vus = self.count("vus", self.spec.vus, 1);
        let (iterations, max_duration_ns) = (self.iterations(), self.max_duration());
        if iterations < u64::from(vus) {
            let message = format!("{iterations} iterations for {vus} VUs");
            let place = self.place("iterations");
            self.findings.push(
                Finding::at(place, message)
                    .help("give at least one iteration for each VU, or fewer VUs"),
            );
        }
        Executor::SharedIterations {
            vus,
            iterations,
            max_duration_ns,
        }
    }

    fn externally_controlled(&mut self, file: &ScenarioFile) -> Option<Executor> {
        let spec = self.spec;
        let name = self.required("vus_from", spec.vus_from.as_ref());
        let vus = self.required("vus", spec.vus);
        let max_vus = self.required("max_vus", spec.max_vus);
        let duration_ns = self.length();
        let flag = super::flags::find(file, name?, self.place("vus_from"), self.findings);
        let (vus, max_vus) = (vus?, self.at_least_one("max_vus", max_vus?));
        if vus > max_vus {
            let message = format!("`vus` is {vus}, more than `max_vus`, {max_vus}");
            self.findings
                .push(Finding::at(self.place("vus"), message).help("give a larger `max_vus`"));
        }
        Some(Executor::ExternallyControlled {
            vus,
            max_vus,
            duration_ns: duration_ns?,
            flag: flag?,
        })
    }

    /// Options that belong to other executors.
    fn check_strangers(&mut self) {
        let spec = self.spec;
        let given = [
            ("vus_from", spec.vus_from.is_some()),
            ("vus", spec.vus.is_some()),
            ("duration", spec.duration.is_some()),
            ("iterations", spec.iterations.is_some()),
            ("max_duration", spec.max_duration.is_some()),
            ("start_vus", spec.start_vus.is_some()),
            ("stages", spec.stages.is_some()),
            ("shape", spec.shape.is_some()),
            ("graceful_ramp_down", spec.graceful_ramp_down.is_some()),
            ("rate", spec.rate.is_some()),
            ("time_unit", spec.time_unit.is_some()),
            ("start_rate", spec.start_rate.is_some()),
            ("pre_allocated_vus", spec.pre_allocated_vus.is_some()),
            ("max_vus", spec.max_vus.is_some()),
        ];
        let own = options_of(spec.executor);
        for (option, _) in given
            .iter()
            .filter(|(option, is)| *is && !own.contains(option))
        {
            let homes: Vec<String> = ALL
                .iter()
                .filter(|(executor, _)| options_of(*executor).contains(option))
                .map(|(_, name)| format!("`{name}`"))
                .collect();
            let message = format!(
                "`{option}` is not an option of `{}`",
                name_of(spec.executor)
            );
            let own: Vec<String> = own.iter().map(|name| format!("`{name}`")).collect();
            self.findings
                .push(Finding::at(self.at.key(option), message).help(format!(
                    "it belongs to {}; this executor has {}",
                    homes.join(", "),
                    own.join(", ")
                )));
        }
    }

    /// Place of an option, or of the scenario's key where it is left out.
    fn place(&self, option: &str) -> Span {
        let place = self.at.value(option);
        if place == self.at.span {
            self.key
        } else {
            place
        }
    }

    fn required<T>(&mut self, option: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            let message = format!("`{}` needs `{option}`", name_of(self.spec.executor));
            self.findings
                .push(Finding::at(self.at.value("executor"), message));
        }
        value
    }

    fn bounded(&mut self, option: &str, value: Option<u32>, default: u32) -> u32 {
        let value = value.unwrap_or(default);
        if value > MAX_COUNT {
            let message = format!("`{option}` is {value}, more than {MAX_COUNT}");
            self.findings
                .push(Finding::at(self.place(option), message).help(TOO_MANY));
        }
        value
    }

    fn check_rates(&mut self, time_unit_ns: u64) {
        let spec = self.spec;
        if let Some(ShapeSpec { between, .. }) = &spec.shape {
            let place = self.at.child("shape").value("between");
            self.check_rate("between", between[1], time_unit_ns, place);
            return;
        }
        let start_rate = spec.start_rate.unwrap_or(0);
        let place = self.place("start_rate");
        self.check_rate("start_rate", start_rate, time_unit_ns, place);
        for (index, stage) in spec.stages.iter().flatten().enumerate() {
            let place = self.at.child("stages").item(index).value("target");
            self.check_rate("target", stage.target, time_unit_ns, place);
        }
    }

    /// What is within bounds for each time unit may not be so for each second.
    fn check_rate(&mut self, option: &str, rate: u32, time_unit_ns: u64, place: Span) {
        let per_second = u64::from(rate) * SECOND.ns / time_unit_ns.max(1);
        if time_unit_ns > 0 && rate <= MAX_COUNT && per_second > u64::from(MAX_COUNT) {
            let time_unit = Duration { ns: time_unit_ns };
            let message = format!(
                "`{option}` is {rate} in {time_unit}: {per_second} iterations/s, more than {MAX_COUNT}"
            );
            self.findings
                .push(Finding::at(place, message).help(TOO_MANY));
        }
    }

    fn at_least_one(&mut self, option: &str, value: u32) -> u32 {
        if value == 0 {
            let message = format!("`{option}` is 0");
            let help = "nothing would be sent: give 1 or more";
            self.findings
                .push(Finding::at(self.place(option), message).help(help));
        }
        self.bounded(option, Some(value), 0)
    }

    fn count(&mut self, option: &str, value: Option<u32>, default: u32) -> u32 {
        self.at_least_one(option, value.unwrap_or(default))
    }

    fn iterations(&mut self) -> u64 {
        let iterations = self.spec.iterations.unwrap_or(1);
        if iterations == 0 || iterations > MAX_ITERATIONS {
            let message = format!("`iterations` is {iterations}");
            let help = format!("give 1 to {MAX_ITERATIONS}");
            self.findings
                .push(Finding::at(self.place("iterations"), message).help(help));
        }
        iterations
    }

    fn max_duration(&mut self) -> u64 {
        let max_duration = self.spec.max_duration.unwrap_or(MAX_DURATION);
        self.above_zero("max_duration", max_duration)
    }

    fn length(&mut self) -> Option<u64> {
        let duration = self.required("duration", self.spec.duration)?;
        Some(self.above_zero("duration", duration))
    }

    fn time_unit(&mut self) -> u64 {
        let time_unit = self.spec.time_unit.unwrap_or(SECOND);
        self.above_zero("time_unit", time_unit)
    }

    fn above_zero(&mut self, option: &str, duration: Duration) -> u64 {
        if duration.ns == 0 {
            let message = format!("`{option}` is 0");
            self.findings.push(
                Finding::at(self.place(option), message).help("give it a length, such as 10s"),
            );
        }
        duration.ns
    }

    fn arrival_vus(&mut self) -> Option<(u32, u32)> {
        let spec = self.spec;
        let pre_allocated = self.required("pre_allocated_vus", spec.pre_allocated_vus)?;
        let pre_allocated = self.bounded("pre_allocated_vus", Some(pre_allocated), 0);
        let max = spec.max_vus.unwrap_or(pre_allocated);
        if max == 0 {
            let message = "there are no VUs to run iterations";
            let help = "give `pre_allocated_vus` 1 or more";
            self.findings
                .push(Finding::at(self.place("pre_allocated_vus"), message).help(help));
        } else if max < pre_allocated {
            let message =
                format!("`max_vus` is {max}, less than `pre_allocated_vus`, {pre_allocated}");
            let help = "leave `max_vus` out to have no more than `pre_allocated_vus`";
            self.findings
                .push(Finding::at(self.place("max_vus"), message).help(help));
        } else if spec.max_vus.is_some() {
            self.bounded("max_vus", Some(max), 0);
        }
        Some((pre_allocated, max))
    }

    /// Where the line begins, and its pieces: as written, or drawn.
    fn line(
        &mut self,
        option: &str,
        start: Option<u32>,
        default: u32,
    ) -> Option<(u32, Vec<Stage>)> {
        let Some(shape) = &self.spec.shape else {
            let start = self.bounded(option, start, default);
            return self.stages(start).map(|stages| (start, stages));
        };
        for (other, is_given) in [
            ("stages", self.spec.stages.is_some()),
            (option, start.is_some()),
        ] {
            if is_given {
                let message = format!("both `shape` and `{other}` are given");
                self.findings.push(
                    Finding::at(self.at.key(other), message)
                        .help(format!("`shape` draws the whole line: leave `{other}` out")),
                );
            }
        }
        let shape = self.shape(shape)?;
        Some(shape::draw(&shape, self.seed, self.name))
    }

    /// A shape that can be drawn.
    fn shape(&mut self, spec: &ShapeSpec) -> Option<Shape> {
        let at = self.at.child("shape");
        let before = self.findings.len();
        let mut wrong = |at: Span, message: &str, help: &str| {
            self.findings.push(Finding::at(at, message).help(help));
        };
        let lengths = [
            ("length", at, Some(spec.length)),
            ("period", at, spec.period),
            ("every", at, spec.every),
            (
                "every",
                at.child("jumps"),
                spec.jumps.as_ref().map(|jumps| jumps.every),
            ),
        ];
        for (key, at, length) in lengths {
            if length.is_some_and(|length| length.ns == 0) {
                let message = format!("`{key}` is 0");
                wrong(at.value(key), &message, "give it a length, such as 10s");
            }
        }
        let [low, high] = spec.between;
        if low > high {
            let help = "write [least, most]";
            wrong(at.value("between"), "the least is more than the most", help);
        } else if high == 0 {
            let help = "nothing would be sent: give 1 or more";
            wrong(at.value("between"), "there is never anything", help);
        } else if high > MAX_COUNT {
            let message = format!("{high} is more than {MAX_COUNT}");
            wrong(at.value("between"), &message, TOO_MANY);
        }
        let shape = Shape {
            length_ns: spec.length.ns,
            between: spec.between,
            period_ns: spec.period.unwrap_or(spec.length).ns,
            every_ns: spec.every.unwrap_or(EVERY).ns,
            noise: spec.noise.unwrap_or(NOISE).0,
            jumps: spec.jumps.as_ref().map(|jumps| Jumps {
                every_ns: jumps.every.ns,
                length_ns: (jumps.length.min.ns, jumps.length.max.ns),
                by: jumps.by.0,
            }),
        };
        if let Some(jumps) = &shape.jumps
            && jumps.length_ns.0 > jumps.length_ns.1
        {
            let message = "the shortest is longer than the longest";
            let place = at.child("jumps").value("length");
            wrong(place, message, "write [shortest, longest]");
        }
        let jumps = shape.jumps.as_ref();
        let jumps = jumps.map_or(0, |jumps| jumps.count(shape.length_ns));
        if shape.length_ns / shape.every_ns.max(1) > MOST_POINTS || jumps > MOST_JUMPS {
            let message = "the line would have too many points";
            let help = "give `every` more time, that of the line or that of its jumps";
            wrong(at.value("every"), message, help);
        }
        (self.findings.len() == before).then_some(shape)
    }

    /// The stages, which must go on for some time and rise above zero somewhere.
    fn stages(&mut self, start: u32) -> Option<Vec<Stage>> {
        let spec = self.spec;
        let stages = self.required("stages", spec.stages.as_ref())?;
        let key = self.at.key("stages");
        if stages.is_empty() {
            let help = "add a stage: {duration: 30s, target: 10}";
            self.findings
                .push(Finding::at(key, "`stages` is empty").help(help));
            return None;
        }
        for (index, stage) in stages.iter().enumerate() {
            if stage.target > MAX_COUNT {
                let place = self.at.child("stages").item(index).value("target");
                let message = format!("the target {} is more than {MAX_COUNT}", stage.target);
                self.findings
                    .push(Finding::at(place, message).help(TOO_MANY));
            }
        }
        let total = stages
            .iter()
            .fold(0u64, |sum, stage| sum.saturating_add(stage.duration.ns));
        if total == 0 {
            let help = "a stage of 0s jumps to its target; at least one must have a length";
            self.findings
                .push(Finding::at(key, "all stages are 0 long").help(help));
        } else if !rises_above_zero(start, stages) {
            let help = "nothing would be sent: give a stage a target of 1 or more";
            self.findings
                .push(Finding::at(key, "the stages never rise above 0").help(help));
        }
        let stage = |spec: &StageSpec| Stage {
            duration_ns: spec.duration.ns,
            target: spec.target,
        };
        Some(stages.iter().map(stage).collect())
    }
}

/// Whether any stage with a length begins or ends above zero.
fn rises_above_zero(start: u32, stages: &[StageSpec]) -> bool {
    let mut from = start;
    stages.iter().any(|stage| {
        let above = stage.duration.ns > 0 && (from > 0 || stage.target > 0);
        from = stage.target;
        above
    })
}
