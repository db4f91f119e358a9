//! Rows of CSV: quoting by RFC 4180 (the `csv` crate), numbers without formatting machinery, and
//! text that no spreadsheet takes for a formula.

use std::io;

use serde::Serialize;

use super::timestamp::Timestamps;
use crate::join::label::{Label, LabelSource};
use crate::join::phase::Phase;
use crate::telemetry::resource::ResourceAttributes;
use crate::telemetry::scalar::{SpanId, TraceId};

/// Collects rows in memory. Writing to memory can't fail, so nothing here returns an error except
/// [`CsvRows::into_bytes`], which the `csv` crate gives one to.
pub(crate) struct CsvRows {
    out: csv::Writer<Vec<u8>>,
    timestamps: Timestamps,
    integers: itoa::Buffer,
    scratch: Vec<u8>,
    rows: u64,
    /// The first error of the writer below.
    failed: Option<csv::Error>,
}

/// The characters at which spreadsheets start a formula, and the one that marks a cell as text:
/// a cell of text that begins with one of them gets a `'` in front. Taking one leading `'` off
/// gives back every cell as it was.
const FORMULA_STARTS: &[u8] = b"=+-@\t\r\n'";

impl CsvRows {
    pub(crate) fn new() -> Self {
        Self {
            out: csv::WriterBuilder::new()
                .flexible(false)
                .from_writer(Vec::new()),
            timestamps: Timestamps::new(),
            integers: itoa::Buffer::new(),
            scratch: Vec::new(),
            rows: 0,
            failed: None,
        }
    }

    fn field(&mut self, bytes: &[u8]) {
        if let Err(error) = self.out.write_field(bytes) {
            self.failed.get_or_insert(error);
        }
    }

    /// Ends the row.
    pub(crate) fn end(&mut self) {
        self.rows += 1;
        if let Err(error) = self.out.write_record(None::<&[u8]>) {
            self.failed.get_or_insert(error);
        }
    }

    /// A header.
    pub(crate) fn header(&mut self, columns: &[&str]) {
        for column in columns {
            self.field(column.as_bytes());
        }
        self.end();
    }

    /// Bytes of all whole rows so far.
    pub(crate) fn len(&mut self) -> usize {
        if let Err(error) = self.out.flush() {
            self.failed.get_or_insert(error.into());
        }
        self.out.get_ref().len()
    }

    pub(crate) fn into_bytes(self) -> io::Result<Vec<u8>> {
        match self.failed {
            Some(error) => Err(io::Error::other(error)),
            None => self
                .out
                .into_inner()
                .map_err(|e| io::Error::other(e.to_string())),
        }
    }

    /// The bytes and the number of rows in them.
    pub(crate) fn into_counted_bytes(self) -> io::Result<(Vec<u8>, u64)> {
        let rows = self.rows;
        Ok((self.into_bytes()?, rows))
    }

    /// An empty cell: null.
    pub(crate) fn null(&mut self) {
        self.field(b"");
    }

    /// Text from outside.
    pub(crate) fn text(&mut self, text: &str) {
        if text
            .as_bytes()
            .first()
            .is_some_and(|first| FORMULA_STARTS.contains(first))
        {
            self.scratch.clear();
            self.scratch.push(b'\'');
            self.scratch.extend_from_slice(text.as_bytes());
            let scratch = std::mem::take(&mut self.scratch);
            self.field(&scratch);
            self.scratch = scratch;
        } else {
            self.field(text.as_bytes());
        }
    }

    /// Text from outside, or null.
    pub(crate) fn opt_text(&mut self, text: Option<&str>) {
        self.text(text.unwrap_or_default());
    }

    pub(crate) fn integer(&mut self, value: impl itoa::Integer) {
        let text = self.integers.format(value);
        if let Err(error) = self.out.write_field(text) {
            self.failed.get_or_insert(error);
        }
    }

    pub(crate) fn opt_integer(&mut self, value: Option<impl itoa::Integer>) {
        match value {
            Some(value) => self.integer(value),
            None => self.null(),
        }
    }

    /// The shortest text that reads back as the same double; `NaN`, `Infinity`, `-Infinity`.
    pub(crate) fn double(&mut self, value: f64) {
        match value {
            v if v.is_finite() => self.json(&v),
            v if v.is_nan() => self.field(b"NaN"),
            v if v > 0.0 => self.field(b"Infinity"),
            _ => self.field(b"-Infinity"),
        }
    }

    pub(crate) fn opt_double(&mut self, value: Option<f64>) {
        match value {
            Some(value) => self.double(value),
            None => self.null(),
        }
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.field(if value { b"true" } else { b"false" });
    }

    pub(crate) fn opt_boolean(&mut self, value: Option<bool>) {
        match value {
            Some(value) => self.boolean(value),
            None => self.null(),
        }
    }

    /// A value as JSON. It begins with none of the characters of a formula unless it is a number.
    pub(crate) fn json(&mut self, value: &impl Serialize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        if let Err(error) = serde_json::to_writer(&mut scratch, value) {
            self.failed.get_or_insert(io::Error::from(error).into());
        }
        self.field(&scratch);
        self.scratch = scratch;
    }

    /// Nanoseconds as milliseconds, exactly: up to six decimals, at least one.
    pub(crate) fn milliseconds(&mut self, ns: i64) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        if ns < 0 {
            scratch.push(b'-');
        }
        let ns = ns.unsigned_abs();
        scratch.extend_from_slice(self.integers.format(ns / 1_000_000).as_bytes());
        scratch.push(b'.');
        let mut fraction = ns % 1_000_000;
        let mut unit = 100_000;
        loop {
            scratch.push(b'0' + (fraction / unit) as u8);
            fraction %= unit;
            unit /= 10;
            if fraction == 0 {
                break;
            }
        }
        self.field(&scratch);
        self.scratch = scratch;
    }

    /// A time in Unix nanoseconds as RFC 3339.
    pub(crate) fn timestamp(&mut self, unix_ns: Option<i64>) {
        match unix_ns {
            Some(unix_ns) => {
                let text = self.timestamps.format(unix_ns);
                if let Err(error) = self.out.write_field(text) {
                    self.failed.get_or_insert(error);
                }
            }
            None => self.null(),
        }
    }

    pub(crate) fn trace_id(&mut self, id: TraceId) {
        match id {
            TraceId(0) => self.null(),
            TraceId(id) => self.field(&hex::<32>(id)),
        }
    }

    pub(crate) fn span_id(&mut self, id: SpanId) {
        match id {
            SpanId(0) => self.null(),
            SpanId(id) => self.field(&hex::<16>(id.into())),
        }
    }

    /// The four columns of the resource beside the service's name.
    pub(crate) fn instance(&mut self, resource: &ResourceAttributes<'_>) {
        self.opt_text(resource.service_instance_id.as_deref());
        self.opt_text(resource.host_name.as_deref());
        self.opt_text(resource.container_name.as_deref());
        self.opt_text(resource.k8s_pod_name.as_deref());
    }

    /// The four columns of the anomaly.
    pub(crate) fn anomaly(&mut self, label: &Label) {
        self.text(&label.anomaly_type);
        self.text(&label.anomaly_label);
        self.text(&label.anomaly_root_cause);
        self.text(&label.anomaly_msg);
    }

    /// The three columns that say where the label comes from.
    pub(crate) fn provenance(&mut self, label: &Label, source: LabelSource) {
        self.opt_text(label.scenario.as_deref());
        self.opt_text(label.root_cause_service.as_deref());
        self.field(source.name().as_bytes());
    }

    /// How settled things were; null where the label is not known.
    pub(crate) fn phase(&mut self, phase: Phase) {
        self.field(phase.name().unwrap_or_default().as_bytes());
    }

    /// Whether a service is the one that the fault is in; null where no service is.
    pub(crate) fn is_root_cause_service(&mut self, label: &Label, service_name: &str) {
        match label.root_cause_service.as_deref() {
            Some(service) => self.boolean(service == service_name),
            None => self.null(),
        }
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex<const DIGITS: usize>(mut value: u128) -> [u8; DIGITS] {
    let mut text = [b'0'; DIGITS];
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(write: impl FnOnce(&mut CsvRows)) -> String {
        let mut rows = CsvRows::new();
        write(&mut rows);
        rows.end();
        String::from_utf8(rows.into_bytes().expect("memory")).expect("UTF-8")
    }

    #[test]
    fn formulas_are_made_text_and_numbers_are_left_alone() {
        let cells = row(|r| {
            r.text("=1+1");
            r.text("-rm");
            r.text("'quoted'");
            r.text("a=b");
            r.integer(-5);
            r.milliseconds(-1_500_000);
        });
        assert_eq!(cells, "'=1+1,'-rm,''quoted',a=b,-5,-1.5\n");
    }

    #[test]
    fn quoting_is_that_of_rfc_4180() {
        let cells = row(|r| {
            r.text("a,b");
            r.text("say \"hi\"");
            r.text("two\nlines");
            r.null();
        });
        assert_eq!(cells, "\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",\n");
    }

    #[test]
    fn milliseconds_are_exact() {
        for (ns, text) in [
            (0, "0.0"),
            (1, "0.000001"),
            (1_250_000, "1.25"),
            (3_000_000, "3.0"),
        ] {
            assert_eq!(row(|r| r.milliseconds(ns)), format!("{text}\n"));
        }
        assert_eq!(row(|r| r.milliseconds(i64::MIN)), "-9223372036854.775808\n");
    }

    proptest! {
        #[test]
        fn text_comes_back_and_never_starts_a_formula(text: String) {
            let cells = row(|r| { r.text(&text); r.integer(1); });
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(cells.as_bytes());
            let record = reader.records().next().expect("a row").expect("valid CSV");
            prop_assert!(!record[0].starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
            prop_assert_eq!(record[0].strip_prefix('\'').unwrap_or(&record[0]), text);
        }

        #[test]
        fn doubles_read_back_as_they_were(value: f64) {
            let cell = row(|r| r.double(value));
            let read: f64 = cell.trim_end().parse().expect("a number");
            prop_assert!(read == value || (read.is_nan() && value.is_nan()));
        }
    }
}
