//! What is said of a row, and the columns that say it, which all tables share.

use loadgen_timeline::phase::Phase;

use super::table::{Column, Kind, NEVER, Table, Value};

/// How the moment of a row is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum LabelSource {
    /// Nothing is known of it.
    None = 0,
    /// From the request ledger: when the request of its trace was sent.
    Ledger = 1,
    /// From the telemetry itself.
    Window = 2,
    /// There is no timeline, and a header names an anomaly.
    Header = 3,
}

impl LabelSource {
    pub(crate) const ALL: [LabelSource; 4] = [
        LabelSource::None,
        LabelSource::Ledger,
        LabelSource::Window,
        LabelSource::Header,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            LabelSource::None => "none",
            LabelSource::Ledger => "ledger",
            LabelSource::Window => "window",
            LabelSource::Header => "header",
        }
    }
}

/// A condition as it is written beside rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelTexts {
    pub(crate) anomaly_type: String,
    pub(crate) anomaly_label: &'static str,
    pub(crate) anomaly_root_cause: String,
    pub(crate) anomaly_msg: Option<String>,
    pub(crate) anomaly_symptom: Option<String>,
    pub(crate) root_cause_service: Option<String>,
    pub(crate) types: Vec<String>,
    pub(crate) root_causes: Vec<String>,
    pub(crate) services: Vec<String>,
}

/// A stretch of time as it is written beside rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StretchTexts {
    /// The scenarios whose windows are open, joined by `+`.
    pub(crate) scenario: Option<String>,
    pub(crate) fault_state: &'static str,
    pub(crate) verdict: Option<&'static str>,
    /// Services that shifted in its window.
    pub(crate) affected: Vec<String>,
}

/// What is said of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) label: &'a LabelTexts,
    pub(crate) stretch: &'a StretchTexts,
    pub(crate) source: LabelSource,
    pub(crate) phase: Phase,
    /// Whose row it is, if not this run's.
    pub(crate) foreign: Option<&'static str>,
}

impl Said<'_> {
    /// Whether a service is one that a fault is in; none where no service is.
    pub(crate) fn is_root_cause(&self, service: &str) -> Option<bool> {
        let services = &self.label.services;
        (!services.is_empty()).then(|| services.iter().any(|s| s == service))
    }

    fn is_affected<'s>(&self, services: impl IntoIterator<Item = &'s str>) -> Option<bool> {
        self.stretch.verdict?;
        let affected = &self.stretch.affected;
        let mut services = services.into_iter();
        Some(services.any(|service| affected.iter().any(|s| s == service)))
    }
}

/// A row of which something is said.
pub(crate) trait Labelled {
    fn said(&self) -> &Said<'_>;

    /// `service.name` of the row; of a trace those of its spans, `;` between them.
    fn service(&self) -> &str;
}

/// The four columns of the anomaly.
pub(crate) fn anomaly_columns<T: Table>() -> Vec<Column<T>>
where
    for<'a> T::Row<'a>: Labelled,
{
    vec![
        Column::new(
            "anomaly_type",
            Kind::Text,
            "`none`, the anomaly's type, several joined by `+`, or `unknown`",
            NEVER,
            |r| Value::text(&r.said().label.anomaly_type),
        ),
        Column::new(
            "anomaly_label",
            Kind::Text,
            "`normal`, `anomalous` or `unknown`",
            NEVER,
            |r| Value::text(r.said().label.anomaly_label),
        ),
        Column::new(
            "anomaly_root_cause",
            Kind::Text,
            "`none`, the root cause, several joined by `+` in the order of the types, or `unknown`",
            NEVER,
            |r| Value::text(&r.said().label.anomaly_root_cause),
        ),
        Column::new(
            "anomaly_msg",
            Kind::Text,
            "a sentence for people",
            "label unknown, or the scenario file has none",
            |r| Value::opt_text(r.said().label.anomaly_msg.as_deref()),
        ),
    ]
}

/// The three columns that say where the label comes from.
pub(crate) fn provenance_columns<T: Table>() -> Vec<Column<T>>
where
    for<'a> T::Row<'a>: Labelled,
{
    vec![
        Column::new(
            "scenario",
            Kind::Text,
            "the scenario whose window was open, several joined by `+`",
            "no window was open",
            |r| Value::opt_text(r.said().stretch.scenario.as_deref()),
        ),
        Column::new(
            "root_cause_service",
            Kind::Text,
            "the service that the fault is in, several joined by `+`",
            "normal, label unknown, or no service is named",
            |r| Value::opt_text(r.said().label.root_cause_service.as_deref()),
        ),
        Column::new(
            "label_source",
            Kind::Text,
            "`ledger`, `window`, `header` or `none`: how its moment is known",
            NEVER,
            |r| Value::text(r.said().source.name()),
        ),
    ]
}

/// `phase` and `is_root_cause_service`.
pub(crate) fn phase_columns<T: Table>() -> Vec<Column<T>>
where
    for<'a> T::Row<'a>: Labelled,
{
    vec![
        Column::new(
            "phase",
            Kind::Text,
            "`steady`, `transition` or `recovery`",
            "outside of the run, or without a timeline",
            |r| Value::opt_text(r.said().phase.name()),
        ),
        Column::new(
            "is_root_cause_service",
            Kind::Boolean,
            "whether its own service is one that a fault is in",
            "no fault is in a service that is named",
            |r| Value::opt_boolean(r.said().is_root_cause(r.service())),
        ),
    ]
}

/// What the label rests on, and compounds as lists.
pub(crate) fn backing_columns<T: Table>() -> Vec<Column<T>>
where
    for<'a> T::Row<'a>: Labelled,
{
    vec![
        Column::new(
            "anomaly_symptom",
            Kind::Text,
            "a name for what people see, several joined by `+`",
            "none is named",
            |r| Value::opt_text(r.said().label.anomaly_symptom.as_deref()),
        ),
        Column::new(
            "fault_state",
            Kind::Text,
            "`confirmed`, `declared`, `sham`, `harmless`, `failed` or `none`: what backs the label",
            NEVER,
            |r| Value::text(r.said().stretch.fault_state),
        ),
        Column::new(
            "verdict",
            Kind::Text,
            "what the evidence says of the window that declares its anomaly; of normal rows, of the window that they lie in; of a sham or harmless one `clean` where its anomaly does not show, `disturbed` where it does",
            "no such window",
            |r| Value::opt_text(r.said().stretch.verdict),
        ),
        Column::new(
            "service_affected",
            Kind::Boolean,
            "whether its own service, or any of a trace's, shifted in its window",
            "no verdict",
            |r| Value::opt_boolean(r.said().is_affected(r.service().split(';'))),
        ),
        Column::new(
            "foreign",
            Kind::Text,
            "`other_run`, `doctor` or `outside`: only with `--include-foreign`",
            "it belongs to the run",
            |r| Value::opt_text(r.said().foreign),
        ),
        Column::new(
            "anomaly_types",
            Kind::Texts,
            "the types, each by itself",
            NEVER,
            |r| texts(&r.said().label.types),
        ),
        Column::new(
            "anomaly_root_causes",
            Kind::Texts,
            "the root causes, in the order of the types",
            NEVER,
            |r| texts(&r.said().label.root_causes),
        ),
        Column::new(
            "root_cause_services",
            Kind::Texts,
            "the services that faults are in",
            NEVER,
            |r| texts(&r.said().label.services),
        ),
    ]
}

fn texts(texts: &[String]) -> Value<'_> {
    Value::Texts(texts.iter().map(String::as_str).collect())
}
