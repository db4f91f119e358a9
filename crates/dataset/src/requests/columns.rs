//! The columns of the table of requests.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use loadgen_timeline::RequestRow;
use parquet::file::properties::WriterProperties;

use super::said::Said;
use crate::schema::{self, own_fields};

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) said: Arc<Said>,
    trace_id: String,
    span_id: String,
    sent_by: String,
    iteration: u64,
    flow: String,
    step: String,
    step_index: u16,
    path: String,
    intended_ns: i64,
    sent_ns: i64,
    finished_ns: i64,
    status: Option<u16>,
    failure: Option<String>,
    client_exposed: Option<bool>,
}

impl Row {
    /// `client_exposed`: whether its client is one that the faults in force are for.
    pub(super) fn new(of: &RequestRow<'_>, said: Arc<Said>, client_exposed: Option<bool>) -> Self {
        Self {
            said,
            client_exposed,
            trace_id: const_hex::encode(of.trace_id),
            span_id: const_hex::encode(of.span_id),
            sent_by: of.scenario.to_owned(),
            iteration: of.iteration,
            flow: of.flow.to_owned(),
            step: of.step.to_owned(),
            step_index: of.step_index,
            path: of.path.to_owned(),
            intended_ns: of.intended_ns,
            sent_ns: of.sent_ns,
            finished_ns: of.finished_ns,
            status: of.status,
            failure: of.failure.map(str::to_owned),
        }
    }
}

/// Where the values of a column come from.
enum Values {
    Text(for<'r> fn(&'r Row) -> Option<&'r str>),
    Int32(fn(&Row) -> Option<i32>),
    Int64(fn(&Row) -> i64),
    UInt64(fn(&Row) -> u64),
    Boolean(fn(&Row) -> Option<bool>),
}

impl Values {
    fn kind(&self) -> DataType {
        match self {
            Self::Text(_) => DataType::Utf8,
            Self::Int32(_) => DataType::Int32,
            Self::Int64(_) => DataType::Int64,
            Self::UInt64(_) => DataType::UInt64,
            Self::Boolean(_) => DataType::Boolean,
        }
    }

    fn array(&self, rows: &[Row]) -> ArrayRef {
        let rows = rows.iter();
        match self {
            Self::Text(of) => Arc::new(StringArray::from_iter(rows.map(of))),
            Self::Int32(of) => Arc::new(Int32Array::from_iter(rows.map(of))),
            Self::Int64(of) => Arc::new(Int64Array::from_iter_values(rows.map(of))),
            Self::UInt64(of) => Arc::new(UInt64Array::from_iter_values(rows.map(of))),
            Self::Boolean(of) => Arc::new(BooleanArray::from_iter(rows.map(of))),
        }
    }
}

/// A column of the table, behind those that each table begins with.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    values: Values,
    meaning: &'static str,
    /// When it is null; `never`.
    pub(crate) null: &'static str,
}

impl Column {
    const fn new(
        name: &'static str,
        values: Values,
        meaning: &'static str,
        null: &'static str,
    ) -> Self {
        Self {
            name,
            values,
            meaning,
            null,
        }
    }

    fn field(&self) -> Field {
        let description = ("description".to_owned(), self.meaning.to_owned());
        Field::new(self.name, self.values.kind(), self.null != NEVER)
            .with_metadata(HashMap::from([description]))
    }

    /// Its name, type, meaning, and when it is null, as the docs say them.
    #[cfg(test)]
    pub(crate) fn told(&self) -> [&'static str; 4] {
        let kind = crate::schema::type_name(&self.values.kind());
        [self.name, kind, self.meaning, self.null]
    }
}

const NEVER: &str = "never";

const UNLISTED: &str = "its trace is not in `trace_labels`, or it is null there";

/// The columns, in their order.
pub(crate) fn columns() -> Vec<Column> {
    let mut columns = of_ledger();
    columns.extend(of_label());
    columns
}

fn of_ledger() -> Vec<Column> {
    use Values::{Int32, Int64, Text, UInt64};
    let new = Column::new;
    vec![
        new(
            "trace_id",
            Text(|r| Some(&r.trace_id)),
            "the trace that it began: 32 lower-case hexadecimal digits",
            NEVER,
        ),
        new(
            "span_id",
            Text(|r| Some(&r.span_id)),
            "the generator's span, the parent of the target's first: 16 lower-case hexadecimal digits",
            NEVER,
        ),
        new(
            "sent_by",
            Text(|r| Some(&r.sent_by)),
            "the scenario that sent it",
            NEVER,
        ),
        new(
            "iteration",
            UInt64(|r| r.iteration),
            "number of the iteration within that scenario, from 0, in the order of start",
            NEVER,
        ),
        new("flow", Text(|r| Some(&r.flow)), "name of the flow", NEVER),
        new("step", Text(|r| Some(&r.step)), "name of the step", NEVER),
        new(
            "step_index",
            Int32(|r| Some(i32::from(r.step_index))),
            "position of the step in the flow, repeats unrolled",
            NEVER,
        ),
        new(
            "path",
            Text(|r| Some(&r.path)),
            "path and query as sent",
            NEVER,
        ),
        new(
            "intended_ns",
            Int64(|r| r.intended_ns),
            "when it was due: by the schedule, or when the pause before it ended, Unix ns",
            NEVER,
        ),
        new(
            "sent_ns",
            Int64(|r| r.sent_ns),
            "when it was handed to the HTTP client, Unix ns",
            NEVER,
        ),
        new(
            "finished_ns",
            Int64(|r| r.finished_ns),
            "when the whole answer had been read, or it failed, Unix ns",
            NEVER,
        ),
        new(
            "duration_ns",
            Int64(|r| r.finished_ns.saturating_sub(r.sent_ns)),
            "from `sent_ns` to `finished_ns`, ns",
            NEVER,
        ),
        new(
            "status",
            Int32(|r| r.status.map(i32::from)),
            "HTTP status",
            "no answer came",
        ),
        new(
            "failure",
            Text(|r| r.failure.as_deref()),
            "`timeout`, `connect`, `io`, `status`, `content_type`, `capture`, `interrupted`, `request` or `generator`",
            "it went as the flow expects",
        ),
    ]
}

fn of_label() -> Vec<Column> {
    use Values::{Boolean, Text};
    let new = Column::new;
    vec![
        new(
            "anomaly_type",
            Text(|r| Some(&r.said.anomaly_type)),
            "`none`, the anomaly's type, several joined by `+`, or `unknown`",
            NEVER,
        ),
        new(
            "anomaly_label",
            Text(|r| Some(&r.said.anomaly_label)),
            "`normal`, `anomalous` or `unknown`",
            NEVER,
        ),
        new(
            "root_cause_service",
            Text(|r| r.said.root_cause_service.as_deref()),
            "the service that the fault is in, several joined by `+`",
            "normal, label unknown, or no service is named",
        ),
        new(
            "scenario",
            Text(|r| r.said.scenario.as_deref()),
            "the scenario whose window was open, several joined by `+`",
            "no window was open",
        ),
        new(
            "phase",
            Text(|r| r.said.phase.as_deref()),
            "`steady`, `transition` or `recovery`",
            UNLISTED,
        ),
        new(
            "fault_state",
            Text(|r| Some(&r.said.fault_state)),
            "`confirmed`, `declared`, `sham`, `harmless`, `failed` or `none`: what backs the label",
            NEVER,
        ),
        new(
            "verdict",
            Text(|r| r.said.verdict.as_deref()),
            "what the evidence says of the window that declares its anomaly; of normal rows, of the window that they lie in; of a sham or harmless one `clean` where its anomaly does not show, `disturbed` where it does",
            UNLISTED,
        ),
        new(
            "client_exposed",
            Boolean(|r| r.client_exposed),
            "whether the client that sent it is one that the faults in force are for",
            "none of them is for some clients only",
        ),
    ]
}

/// The form of the table.
pub(super) fn schema() -> SchemaRef {
    let own = own_fields().into_iter();
    let rest = columns().into_iter().map(|column| column.field());
    Arc::new(Schema::new(own.chain(rest).collect::<Vec<_>>()))
}

/// How the table is written: ids have no use for a dictionary, and times lie near each other.
pub(super) fn properties() -> WriterProperties {
    let ids = ["trace_id", "span_id"].map(|name| (name, false));
    let times = ["intended_ns", "sent_ns", "finished_ns"].map(|name| (name, true));
    let encodings = ids.into_iter().chain(times);
    schema::encoded(encodings.map(|(name, has_differences)| {
        (
            name.to_owned(),
            schema::Encoded {
                has_dictionary: false,
                has_differences,
            },
        )
    }))
}

/// Rows as a batch, behind the `own` columns that each table begins with.
pub(super) fn batch(
    rows: &[Row],
    own: Vec<ArrayRef>,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let rest = columns()
        .into_iter()
        .map(|column| column.values.array(rows));
    RecordBatch::try_new(schema.clone(), own.into_iter().chain(rest).collect())
}
