//! The files of a cgroup by which faults act: what they say, and what to write into them.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::before::Knob;
use crate::{HostError, HostFault};

/// Period of a cgroup that nobody has changed, in µs.
const PERIOD_US: u64 = 100_000;
/// The kernel takes no shorter quota, in µs.
const SHORTEST_QUOTA_US: u64 = 1_000;

/// Which interface a hierarchy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// A controller of cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Cpu,
    Freezer,
    Memory,
}

impl Controller {
    /// As the kernel calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Freezer => "freezer",
            Self::Memory => "memory",
        }
    }
}

impl Knob {
    pub(super) fn of(controller: Controller, version: Version) -> Self {
        match (controller, version) {
            (Controller::Cpu, Version::V1) => Self::CpuV1,
            (Controller::Cpu, Version::V2) => Self::CpuV2,
            (Controller::Freezer, Version::V1) => Self::FreezerV1,
            (Controller::Freezer, Version::V2) => Self::FreezerV2,
            (Controller::Memory, Version::V1) => Self::MemoryV1,
            (Controller::Memory, Version::V2) => Self::MemoryV2,
        }
    }

    pub(super) fn file(self) -> &'static str {
        match self {
            Self::CpuV1 => "cpu.cfs_quota_us",
            Self::CpuV2 => "cpu.max",
            Self::FreezerV1 => "freezer.state",
            Self::FreezerV2 => "cgroup.freeze",
            Self::MemoryV1 => "memory.limit_in_bytes",
            Self::MemoryV2 => "memory.max",
        }
    }

    /// Files that show the effect.
    fn counters(self) -> &'static [&'static str] {
        match self {
            Self::CpuV1 => &["cpu.cfs_period_us", "cpu.stat"],
            Self::CpuV2 => &["cpu.stat"],
            Self::FreezerV1 => &[],
            Self::FreezerV2 => &["cgroup.events"],
            Self::MemoryV1 => &["memory.usage_in_bytes", "memory.failcnt"],
            Self::MemoryV2 => &["memory.current", "memory.events"],
        }
    }

    /// What a new cgroup says, and what lifts any limit.
    pub(super) fn lifted(self) -> String {
        match self {
            Self::CpuV1 => "-1".to_owned(),
            Self::CpuV2 => format!("max {PERIOD_US}"),
            Self::FreezerV1 => "THAWED".to_owned(),
            Self::FreezerV2 => "0".to_owned(),
            // As it is read: the most whole pages that the kernel can count.
            Self::MemoryV1 => {
                let page = procfs::page_size();
                (i64::MAX as u64 / page * page).to_string()
            }
            Self::MemoryV2 => "max".to_owned(),
        }
    }

    /// The texts without and with the fault, for a cgroup that is there already.
    pub(super) fn texts(
        self,
        folder: &Path,
        fault: &HostFault,
    ) -> Result<(String, String), HostError> {
        let old = super::read(&folder.join(self.file()))?;
        let period_us = match self {
            Self::CpuV1 => super::read(&folder.join("cpu.cfs_period_us"))?.parse().ok(),
            _ => None,
        };
        let new = self.limited(fault, &old, period_us.unwrap_or(PERIOD_US));
        let new = new.map_err(|why| {
            let folder = folder.display();
            HostError::Cgroup(format!("cgroup {folder}: {why}"))
        })?;
        Ok((old, new))
    }

    /// The same for a cgroup that is made for the fault.
    pub(super) fn texts_of_new(self, fault: &HostFault) -> Result<(String, String), HostError> {
        let old = self.lifted();
        let new = self.limited(fault, &old, PERIOD_US);
        Ok((old, new.map_err(HostError::Parameter)?))
    }

    /// What the file says with the fault. A fault that would loosen a limit is none.
    fn limited(self, fault: &HostFault, old: &str, period_us: u64) -> Result<String, String> {
        let unclear = || format!("{} says {old:?}, which can't be understood", self.file());
        match (self, fault) {
            (Self::CpuV1, HostFault::CpuQuota { cpus }) => {
                let old = parse_quota(old, "-1").ok_or_else(unclear)?;
                Ok(quota_us(*cpus, old, period_us)?.to_string())
            }
            (Self::CpuV2, HostFault::CpuQuota { cpus }) => {
                let old = CpuMax::parse(old).ok_or_else(unclear)?;
                let quota_us = quota_us(*cpus, old.quota_us, old.period_us)?;
                Ok(format!("{quota_us} {}", old.period_us))
            }
            (Self::MemoryV1 | Self::MemoryV2, HostFault::MemoryLimit { bytes }) => {
                let old = parse_quota(old, "max").ok_or_else(unclear)?;
                let page = procfs::page_size();
                let bytes = bytes / page * page;
                if bytes == 0 {
                    return Err(format!(
                        "a limit of less than a page ({page} bytes) is none"
                    ));
                }
                match old {
                    Some(old) if old <= bytes => {
                        Err(format!("memory is limited to {old} bytes already"))
                    }
                    _ => Ok(bytes.to_string()),
                }
            }
            (Self::FreezerV1, _) if old == "THAWED" => Ok("FROZEN".to_owned()),
            (Self::FreezerV2, _) if old == "0" => Ok("1".to_owned()),
            _ => Err(format!("{} says {old} already", self.file())),
        }
    }

    /// Whether a text of the file is that of the fault, also on the way to it.
    pub(super) fn is(self, text: &str, new: &str) -> bool {
        text == new || (self == Self::FreezerV1 && new == "FROZEN" && text == "FREEZING")
    }

    /// Whether what the file says has come true.
    pub(super) fn has_reached(self, folder: &Path, wanted: &str) -> Result<bool, HostError> {
        if super::read(&folder.join(self.file()))? != wanted {
            return Ok(false);
        }
        if self != Self::FreezerV2 {
            return Ok(true);
        }
        let events = super::read(&folder.join("cgroup.events"))?;
        Ok(event(&events, "frozen") == Some(wanted))
    }

    /// Where [`Knob::has_reached`] looks, for people.
    pub(super) fn how(self, folder: &Path, text: &str) -> String {
        let folder = folder.display();
        match self {
            Self::FreezerV2 => format!("frozen {text} in {folder}/cgroup.events"),
            _ => format!("{text} in {folder}/{}", self.file()),
        }
    }

    /// The file and its counters as they are.
    pub(super) fn values(self, folder: &Path) -> Map<String, Value> {
        let mut values = Map::new();
        values.insert("cgroup".to_owned(), json!(folder));
        // The text as it is: "max 100000" is a value, not a name and a value.
        if let Ok(text) = super::read(&folder.join(self.file())) {
            values.insert(self.file().to_owned(), json!(text));
        }
        for file in self.counters() {
            if let Ok(text) = super::read(&folder.join(file)) {
                values.insert((*file).to_owned(), counters(&text));
            }
        }
        values
    }
}

/// What `cpu.max` says.
#[derive(Debug, PartialEq, Eq)]
struct CpuMax {
    /// Nothing: no limit.
    quota_us: Option<u64>,
    period_us: u64,
}

impl CpuMax {
    fn parse(text: &str) -> Option<Self> {
        let (quota, period) = text.split_once(' ')?;
        Some(Self {
            quota_us: parse_quota(quota, "max")?,
            period_us: period.parse().ok()?,
        })
    }
}

/// A number, or the word for "no limit".
fn parse_quota(text: &str, unlimited: &str) -> Option<Option<u64>> {
    match text {
        _ if text == unlimited => Some(None),
        _ => text.parse().ok().map(Some),
    }
}

/// The quota in each period.
fn quota_us(cpus: f64, old: Option<u64>, period_us: u64) -> Result<u64, String> {
    // Periods are 1 s at most and CPUs thousands, so this fits.
    let quota = (cpus * period_us as f64).round() as u64;
    if quota < SHORTEST_QUOTA_US {
        let least = SHORTEST_QUOTA_US as f64 / period_us as f64;
        return Err(format!(
            "with a period of {period_us} µs `cpus` must be at least {least}"
        ));
    }
    match old {
        Some(old) if old <= quota => {
            let cpus = old as f64 / period_us as f64;
            Err(format!("it is limited to {cpus} CPUs already"))
        }
        _ => Ok(quota),
    }
}

/// A value in a file with lines of names and values.
fn event<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// One number, or lines of names and numbers.
fn counters(text: &str) -> Value {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_or_else(|_| json!(text), Value::from)
    };
    let lines: Option<Map<String, Value>> = text
        .lines()
        .map(|line| {
            line.split_once(' ')
                .map(|(name, value)| (name.to_owned(), number(value)))
        })
        .collect();
    match lines {
        Some(map) if !map.is_empty() => Value::Object(map),
        _ => number(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(cpus: f64) -> HostFault {
        HostFault::CpuQuota { cpus }
    }

    #[test]
    fn cpu_max_is_read_as_the_kernel_writes_it() {
        let max = |quota_us, period_us| {
            Some(CpuMax {
                quota_us,
                period_us,
            })
        };
        assert_eq!(CpuMax::parse("max 100000"), max(None, 100_000));
        assert_eq!(CpuMax::parse("25000 50000"), max(Some(25_000), 50_000));
        for text in ["", "max", "x 100000", "1000 y", "-1 100000"] {
            assert_eq!(CpuMax::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_quota_keeps_the_period_and_only_tightens() {
        let v1 = |old, period| Knob::CpuV1.limited(&quota(0.5), old, period);
        assert_eq!(v1("-1", 100_000).unwrap(), "50000");
        assert_eq!(v1("40000", 20_000).unwrap(), "10000");
        assert!(
            v1("50000", 100_000)
                .unwrap_err()
                .contains("0.5 CPUs already")
        );
        let v2 = |old| Knob::CpuV2.limited(&quota(0.1), old, 0);
        assert_eq!(v2("max 100000").unwrap(), "10000 100000");
        assert_eq!(v2("50000 50000").unwrap(), "5000 50000");
        assert!(v2("5000 100000").is_err());
        assert!(v2("max 5000").unwrap_err().contains("at least 0.2"));
        assert!(v2("?").unwrap_err().contains("cpu.max says"));
    }

    #[test]
    fn a_memory_limit_is_whole_pages_and_only_tightens() {
        let page = procfs::page_size();
        let limit = |knob: Knob, old: &str, bytes| {
            knob.limited(&HostFault::MemoryLimit { bytes }, old, PERIOD_US)
        };
        let text = (page * 3).to_string();
        assert_eq!(
            limit(Knob::MemoryV1, "9223372036854771712", page * 3 + 1).unwrap(),
            text
        );
        assert_eq!(limit(Knob::MemoryV2, "max", page * 4 - 1).unwrap(), text);
        assert!(
            limit(Knob::MemoryV2, &text, page * 3)
                .unwrap_err()
                .contains("already")
        );
        assert!(
            limit(Knob::MemoryV2, "max", 1)
                .unwrap_err()
                .contains("page")
        );
    }

    #[test]
    fn what_is_frozen_by_somebody_else_is_left() {
        let freeze = |knob: Knob, old| knob.limited(&HostFault::Freeze {}, old, PERIOD_US);
        assert_eq!(freeze(Knob::FreezerV1, "THAWED").unwrap(), "FROZEN");
        assert_eq!(freeze(Knob::FreezerV2, "0").unwrap(), "1");
        assert!(freeze(Knob::FreezerV1, "FROZEN").is_err());
        assert!(freeze(Knob::FreezerV1, "FREEZING").is_err());
        assert!(freeze(Knob::FreezerV2, "1").is_err());
        // Half-way is the fault's doing all the same.
        assert!(Knob::FreezerV1.is("FREEZING", "FROZEN"));
        assert!(!Knob::FreezerV1.is("FREEZING", "THAWED"));
    }

    #[test]
    fn a_new_cgroup_has_no_limit() {
        for (knob, fault) in [
            (Knob::CpuV1, quota(1.0)),
            (Knob::CpuV2, quota(1.0)),
            (Knob::MemoryV1, HostFault::MemoryLimit { bytes: 1 << 20 }),
            (Knob::MemoryV2, HostFault::MemoryLimit { bytes: 1 << 20 }),
            (Knob::FreezerV1, HostFault::Freeze {}),
            (Knob::FreezerV2, HostFault::Freeze {}),
        ] {
            let (old, new) = knob.texts_of_new(&fault).unwrap();
            assert_ne!(old, new, "{knob:?}");
        }
    }

    #[test]
    fn counters_are_numbers_by_name() {
        let events = "populated 1\nfrozen 0";
        assert_eq!(event(events, "frozen"), Some("0"));
        assert_eq!(event(events, "oom"), None);
        assert_eq!(counters(events), json!({"populated": 1, "frozen": 0}));
        assert_eq!(counters("12"), json!(12));
        assert_eq!(counters(""), json!(""));
    }

    // The kernel's files behave as plain files here: what is written is read.
    #[test]
    fn version_2_is_frozen_when_its_events_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            std::fs::write(folder.path().join(file), text).unwrap();
        };
        write("cgroup.freeze", "1\n");
        write("cgroup.events", "populated 1\nfrozen 0\n");
        assert!(!Knob::FreezerV2.has_reached(folder.path(), "1").unwrap());
        write("cgroup.events", "populated 1\nfrozen 1\n");
        assert!(Knob::FreezerV2.has_reached(folder.path(), "1").unwrap());
        write("cpu.max", "20000 100000\n");
        assert!(
            Knob::CpuV2
                .has_reached(folder.path(), "20000 100000")
                .unwrap()
        );
        assert_eq!(
            Knob::CpuV2.texts(folder.path(), &quota(0.1)).unwrap(),
            ("20000 100000".to_owned(), "10000 100000".to_owned())
        );
    }
}
