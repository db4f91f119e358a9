//! Episodes: what they need of the rest of the file, and the windows that are drawn.

use indexmap::IndexMap;

use super::timetable::{Window, scale_ns};
use super::{GUARD, faults};
use crate::catalogue::FaultCatalogue;
use crate::diagnostic::{Finding, Span};
use crate::duration::Duration;
use crate::episodes::{self, Does, Drawn, Kind, MOST_EPISODES, Refused, Wanted};
use crate::file::{
    Bounds, EpisodeFaultSpec, EpisodesSpec, FaultSpec, Guard, Overlap, Pause, ScenarioFile, Share,
};
use crate::plan::{Anomaly, Executor, Fault, NONE, PlannedScenario};
use crate::yaml::Node;

/// Stands for all that were drawn, where scenarios are chosen by name.
pub(super) const ALL: &str = "episodes";
/// What the names of those that were drawn begin with.
pub(super) const PREFIX: &str = "episode_";

const APART: Duration = Duration {
    ns: 20 * 1_000_000_000,
};
const ANOMALOUS: Share = Share(0.1);
/// Where there are any.
const HARMLESS: Share = Share(0.1);

/// The most that can be asked for of shams and harmless changes, and of anomalous windows.
const MOST_SHARE: f64 = 0.8;

/// What a plan is made from, as far as episodes need it.
pub(super) struct Context<'c> {
    pub(super) file: &'c ScenarioFile,
    pub(super) root: &'c Node,
    pub(super) anomalies: &'c IndexMap<String, Anomaly>,
    pub(super) catalogues: &'c [FaultCatalogue],
    /// In the file's order.
    pub(super) windows: &'c [Window],
    pub(super) seed: u64,
    pub(super) scale: f64,
}

/// Something that can be drawn.
struct Entry {
    anomaly: Anomaly,
    /// Of the first service, with the least intensity.
    fault: Fault,
    services: Vec<String>,
    kind: Kind,
}

/// The windows that are drawn, in the order of time. None where something is wrong, which is then
/// reported, or where nothing is asked for.
pub(super) fn resolve(context: &Context<'_>, findings: &mut Vec<Finding>) -> Vec<PlannedScenario> {
    let Some(spec) = &context.file.episodes else {
        return Vec::new();
    };
    let before = findings.len();
    let at = context.root.child("episodes");
    check_names(context, findings);
    let over = over(context, spec, at, findings);
    let length = pause(&spec.length, at.value("length"), findings);
    let share = share(
        spec.anomalous_share.unwrap_or(ANOMALOUS),
        "anomalous_share",
        at,
        findings,
    );
    let shams = share_of_all(spec.shams, "shams", at, findings);
    let harmless = harmless_share(spec, shams, at, findings);
    let entries = entries(context, spec, at, length, findings);
    if spec.faults.is_empty() {
        findings.push(Finding::at(at.key("faults"), "`faults` is empty"));
    }
    let compound = spec.compound.map_or(0.0, |share| share.0);
    if compound > 0.0 && spec.faults.len() == 1 {
        findings.push(
            Finding::at(at.key("compound"), "compounds of one fault")
                .help("a second fault joins the first: list another one, or leave `compound` out"),
        );
    }
    let (Some((index, guard_ns)), true) = (over, findings.len() == before) else {
        return Vec::new();
    };
    let kinds = entries.each_ref().map(|entries| {
        let kinds = entries.iter().map(|entry| entry.kind.clone());
        kinds.collect::<Vec<Kind>>()
    });
    let window = context.windows.get(index).copied().unwrap_or_default();
    let wanted = Wanted {
        seed: context.seed,
        length_ns: window.length_ns,
        guard_ns,
        share,
        apart_ns: spec.apart.unwrap_or(APART).ns,
        shams,
        harmless,
        compound,
        kinds: &kinds[0],
        harmless_kinds: &kinds[1],
        guard: context.file.guard.unwrap_or(GUARD),
    };
    match episodes::draw(&wanted) {
        Ok(drawn) => drawn
            .iter()
            .map(|one| planned(context, one, window, &entries, wanted.guard))
            .collect(),
        Err(refused) => {
            findings.push(refusal(refused, &wanted, at));
            Vec::new()
        }
    }
}

/// The faults, and what is harmless.
fn entries(
    context: &Context<'_>,
    spec: &EpisodesSpec,
    at: &Node,
    length: (u64, u64),
    findings: &mut Vec<Finding>,
) -> [Vec<Entry>; 2] {
    [
        ("faults", &spec.faults, false),
        ("harmless", &spec.harmless, true),
    ]
    .map(|(key, specs, harmless)| {
        let mut entries = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let at = at.child(key).item(index);
            entries.extend(entry(context, spec, harmless, at, length, findings));
        }
        entries
    })
}

/// Names that those which are drawn have.
fn check_names(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let node = context.root.child("scenarios");
    for name in context.file.scenarios.keys() {
        if name == ALL || name.starts_with(PREFIX) {
            findings.push(
                Finding::at(
                    node.key(name),
                    format!("`{name}` is a name of what is drawn under `episodes`"),
                )
                .help(format!(
                    "choose one that is not `{ALL}` and does not begin with `{PREFIX}`"
                )),
            );
        }
    }
}

/// The scenario that goes on meanwhile, by its position, and its guard.
fn over(
    context: &Context<'_>,
    spec: &EpisodesSpec,
    at: &Node,
    findings: &mut Vec<Finding>,
) -> Option<(usize, u64)> {
    let scenarios = &context.file.scenarios;
    let Some((index, name, over)) = scenarios.get_full(&spec.over) else {
        findings.push(
            Finding::at(
                at.value("over"),
                format!("unknown scenario `{}`", spec.over),
            )
            .suggest(&spec.over, scenarios.keys().map(String::as_str)),
        );
        return None;
    };
    let wrong = if !over.executor.sends() {
        Some("sends nothing")
    } else if over.warm_up {
        Some("only warms up")
    } else if over.anomaly.as_deref().unwrap_or(NONE) != NONE {
        Some("has an anomaly of its own")
    } else if over.executor.counts() {
        Some("ends when its iterations are done")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        findings.push(
            Finding::at(at.value("over"), format!("`{name}` {wrong}"))
                .help("name a normal scenario that goes on sending for a given time"),
        );
    }
    let window = context.windows.get(index).copied().unwrap_or_default();
    if context.file.overlap != Some(Overlap::Allow) {
        let others = context.windows.iter().zip(scenarios);
        for (_, (other, _)) in others.filter(|(other, (_, spec))| {
            let meets = other.start_ns < window.end_ns() && window.start_ns < other.end_ns();
            meets && !spec.executor.sends()
        }) {
            findings.push(
                Finding::at(
                    context.root.child("scenarios").key(other),
                    format!("`{other}` lies in the time of `{name}`, in which episodes are drawn"),
                )
                .help("move it, or write `overlap: allow`"),
            );
        }
    }
    let guard = over.guard.or(context.file.guard).unwrap_or(GUARD);
    Some((index, guard_of(guard, window.length_ns)))
}

fn guard_of(guard: Guard, length_ns: u64) -> u64 {
    match guard {
        Guard::Percent(percent) => (length_ns as f64 * percent / 100.0).round() as u64,
        Guard::Time(time) => time.ns.min(length_ns / 2),
    }
}

/// Shortest and longest, in the right order and not empty.
fn pause(pause: &Pause, span: Span, findings: &mut Vec<Finding>) -> (u64, u64) {
    let (shortest, longest) = (pause.min.ns, pause.max.ns);
    if shortest > longest {
        findings.push(
            Finding::at(span, "the shortest is longer than the longest")
                .help("write [shortest, longest]"),
        );
    } else if shortest == 0 {
        findings.push(Finding::at(span, "the length is 0").help("give it a length, such as 20s"));
    }
    (shortest, longest.max(shortest))
}

fn share(share: Share, key: &str, at: &Node, findings: &mut Vec<Finding>) -> f64 {
    if share.0 <= 0.0 {
        findings
            .push(Finding::at(at.value(key), format!("`{key}` is 0")).help(
                "give a share above 0%; `--scenarios` with all others runs without episodes",
            ));
    }
    share_of_all(Some(share), key, at, findings)
}

fn share_of_all(share: Option<Share>, key: &str, at: &Node, findings: &mut Vec<Finding>) -> f64 {
    let share = share.map_or(0.0, |share| share.0);
    if share > MOST_SHARE {
        findings.push(
            Finding::at(at.value(key), format!("`{key}` is more than 80%"))
                .help("something has to be left to compare with"),
        );
    }
    share
}

/// The share of changes that are harmless, of all.
fn harmless_share(spec: &EpisodesSpec, shams: f64, at: &Node, findings: &mut Vec<Finding>) -> f64 {
    let default = (!spec.harmless.is_empty()).then_some(HARMLESS);
    let written = spec.harmless_share.or(default);
    let share = share_of_all(written, "harmless_share", at, findings);
    let place = at.key("harmless_share");
    if share > 0.0 && spec.harmless.is_empty() {
        findings.push(
            Finding::at(place, "`harmless` lists nothing")
                .help("list what is harmless, such as a `deployment`, or leave the share out"),
        );
    }
    if shams + share > MOST_SHARE && shams.max(share) <= MOST_SHARE {
        findings.push(
            Finding::at(
                place,
                "`shams` and `harmless_share` are more than 80% together",
            )
            .help("something has to be left to compare with"),
        );
    }
    share
}

/// `harmless`: the file lists it as such.
fn entry(
    context: &Context<'_>,
    spec: &EpisodeFaultSpec,
    harmless: bool,
    at: &Node,
    length: (u64, u64),
    findings: &mut Vec<Finding>,
) -> Option<Entry> {
    let Some(anomaly) = context.anomalies.get(&spec.anomaly) else {
        findings.push(
            Finding::at(
                at.value("anomaly"),
                format!("unknown anomaly `{}`", spec.anomaly),
            )
            .suggest(&spec.anomaly, context.anomalies.keys().map(String::as_str)),
        );
        return None;
    };
    if anomaly.is_none() {
        findings.push(
            Finding::at(at.value("anomaly"), "an episode without an anomaly")
                .help("name an entry under `anomalies` of another type than `none`"),
        );
    }
    let Bounds { low, high } = spec.intensity.unwrap_or(Bounds {
        low: 1.0,
        high: 1.0,
    });
    if low > high {
        findings.push(
            Finding::at(at.value("intensity"), "the least is more than the most")
                .help("write [least, most]"),
        );
    } else if high > 1.0 {
        // What is wrong with the least is said where the fault is looked at.
        findings.push(
            Finding::at(
                at.value("intensity"),
                format!("the intensity {high} is out of range"),
            )
            .help("it is above 0 and at most 1"),
        );
    }
    let weight = spec.weight.unwrap_or(1);
    if !(1..=1000).contains(&weight) {
        findings.push(
            Finding::at(at.value("weight"), format!("the weight is {weight}"))
                .help("give 1 to 1000"),
        );
    }
    let length_ns = match &spec.length {
        Some(own) => pause(own, at.value("length"), findings),
        None => length,
    };
    let fault = fault(context, spec, harmless, at, anomaly, low, findings)?;
    if fault.harmless && !harmless {
        findings.push(
            Finding::at(at.value("fault"), format!("`{}` is harmless", fault.fault))
                .help("list it under `harmless`, not among the faults"),
        );
    }
    Some(Entry {
        anomaly: anomaly.clone(),
        fault,
        services: spec.services.clone(),
        kind: Kind {
            weight,
            services: u32::try_from(spec.services.len()).unwrap_or(1),
            intensity: Bounds {
                low,
                high: high.max(low),
            },
            length_ns,
        },
    })
}

/// The fault in the first of its services, all of which are looked at.
fn fault(
    context: &Context<'_>,
    spec: &EpisodeFaultSpec,
    harmless: bool,
    at: &Node,
    anomaly: &Anomaly,
    intensity: f64,
    findings: &mut Vec<Finding>,
) -> Option<Fault> {
    let mut first = None;
    for (index, service) in spec.services.iter().enumerate() {
        let fault = FaultSpec {
            fault: spec.fault.clone(),
            service: service.clone(),
            intensity: Some(intensity),
            driver: spec.driver.clone(),
            parameters: spec.parameters.clone(),
            sham: false,
            harmless,
            clients: spec.clients,
        };
        let service_at = at.child("services").item(index).span;
        let place = faults::Written {
            node: at,
            service: service_at,
            whole: at.key("fault"),
        };
        // What is not about the service would be said once for each.
        let mut found = Vec::new();
        let resolved = faults::check(&fault, &place, context.catalogues, &mut found);
        found.retain(|finding| index == 0 || finding.span == Some(service_at));
        findings.extend(found);
        if let Some(own) = anomaly.root_cause_service.as_ref()
            && own != service
        {
            findings.push(
                Finding::at(
                    service_at,
                    format!("the fault is in `{service}`, but the anomaly's root cause in `{own}`"),
                )
                .help("leave `root_cause_service` out: then it is the service that is drawn"),
            );
        }
        first.get_or_insert(resolved);
    }
    if first.is_none() {
        let finding = Finding::at(at.key("services"), "`services` is empty");
        findings.push(finding.help("name the services of which one is drawn"));
    }
    first
}

fn planned(
    context: &Context<'_>,
    drawn: &Drawn,
    over: Window,
    [faults, harmless]: &[Vec<Entry>; 2],
    guard: Guard,
) -> PlannedScenario {
    let entries = match drawn.does {
        Does::Fault | Does::Sham => faults,
        Does::Harmless => harmless,
    };
    let entry = &entries[drawn.what.kind];
    let service = &entry.services[drawn.what.service];
    let named = Anomaly {
        root_cause_service: Some(service.clone()),
        ..entry.anomaly.clone()
    };
    let (anomaly, declared) = match context.anomalies.get(NONE) {
        Some(none) if drawn.does != Does::Fault => (none.clone(), Some(named)),
        _ => (named, None),
    };
    let scaled = |ns: u64| scale_ns(over.start_ns.saturating_add(ns), context.scale);
    let (start_ns, end_ns) = (scaled(drawn.start_ns), scaled(drawn.end_ns));
    let part = drawn.part.map_or(String::new(), |part| format!("_{part}"));
    let name = format!("{PREFIX}{:03}{part}", drawn.episode);
    let clients = (entry.fault.clients).map(|clients| clients.drawn(context.seed, &name));
    PlannedScenario {
        name,
        executor: Executor::NoLoad {
            duration_ns: end_ns - start_ns,
        },
        start_ns,
        end_ns,
        graceful_stop_ns: 0,
        guard_ns: scale_ns(
            guard_of(guard, drawn.end_ns - drawn.start_ns),
            context.scale,
        ),
        exec: Vec::new(),
        anomaly,
        declared,
        fault: Some(Fault {
            service: service.clone(),
            intensity: drawn.what.intensity,
            sham: drawn.does == Does::Sham,
            clients,
            ..entry.fault.clone()
        }),
        warm_up: false,
        tags: IndexMap::new(),
        env: IndexMap::new(),
    }
}

fn refusal(refused: Refused, wanted: &Wanted<'_>, at: &Node) -> Finding {
    let shown = |ns: u64| Duration { ns };
    match refused {
        Refused::TooShort => Finding::at(
            at.value("length"),
            "no window of 5 s lies in an episode, after its guard",
        )
        .help("make them longer, of compounds three times as long, or the guard shorter"),
        Refused::NoRoom { needed_ns } => Finding::at(
            at.value("over"),
            format!(
                "the episodes and the time between them need {}, and the scenario lasts {}",
                shown(needed_ns / 1_000_000_000 * 1_000_000_000),
                shown(wanted.length_ns)
            ),
        )
        .help("take a smaller `anomalous_share` or `apart`, fewer shams or harmless changes, or longer \
               episodes"),
        Refused::TooMany => Finding::at(
            at.value("over"),
            format!("more than {MOST_EPISODES} episodes"),
        )
        .help("make them longer, or the scenario shorter"),
        Refused::TooLong { share } => Finding::at(
            at.value("over"),
            format!(
                "one episode alone makes {:.1} % of it anomalous",
                share * 100.0
            ),
        )
        .help("make the scenario longer, or the episodes shorter"),
    }
}
