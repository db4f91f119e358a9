//! Cells of CSV: quoting by RFC 4180 (`csv-core`), numbers without formatting machinery, and text
//! that no spreadsheet takes for a formula.

use csv_core::WriteResult;

use super::table::{Kind, Value};
use super::timestamp::Timestamps;

/// Collects rows in memory.
pub(crate) struct CsvRow {
    out: Vec<u8>,
    timestamps: Timestamps,
    integers: itoa::Buffer,
    /// Whether the row has a cell already.
    begun: bool,
}

/// The characters at which spreadsheets start a formula, and the one that marks a cell as text:
/// a cell of text that begins with one of them gets a `'` in front. Taking one leading `'` off
/// gives back every cell as it was.
const FORMULA_STARTS: &[u8] = b"=+-@\t\r\n'";

impl CsvRow {
    pub(crate) fn new() -> Self {
        Self {
            out: Vec::new(),
            timestamps: Timestamps::new(),
            integers: itoa::Buffer::new(),
            begun: false,
        }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// What was written, leaving nothing.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Ends the row.
    pub(crate) fn end(&mut self) {
        self.out.push(b'\n');
        self.begun = false;
    }

    fn begin(&mut self) {
        if self.begun {
            self.out.push(b',');
        }
        self.begun = true;
    }

    /// A cell that needs no quotes.
    pub(crate) fn plain(&mut self, bytes: &[u8]) {
        self.begin();
        self.out.extend_from_slice(bytes);
    }

    /// A cell of a kind.
    pub(crate) fn cell(&mut self, kind: Kind, value: &Value<'_>) {
        match value {
            Value::Null => self.begin(),
            Value::Text(text) if kind == Kind::Json => self.quoted(text.as_bytes(), false),
            Value::Text(text) => {
                let first = text.as_bytes().first();
                let formula = first.is_some_and(|first| FORMULA_STARTS.contains(first));
                self.quoted(text.as_bytes(), formula);
            }
            Value::TraceId(id) => self.plain(&hex::<32>(*id)),
            Value::SpanId(id) => self.plain(&hex::<16>((*id).into())),
            Value::Int(ns) if kind == Kind::Timestamp => {
                self.begin();
                self.out.extend_from_slice(self.timestamps.format(*ns));
            }
            Value::Int(ns) if kind == Kind::Milliseconds => self.milliseconds(*ns),
            Value::Int(value) => {
                self.begin();
                self.out
                    .extend_from_slice(self.integers.format(*value).as_bytes());
            }
            Value::Double(value) => self.double(*value),
            Value::Boolean(value) => self.plain(if *value { b"true" } else { b"false" }),
            // Lists are in Parquet only.
            Value::Texts(_) => self.begin(),
        }
    }

    fn quoted(&mut self, bytes: &[u8], formula: bool) {
        self.begin();
        // Most cells have no byte that they are quoted for, and this looks at many bytes at a time.
        let is_quoted = |byte: u8| matches!(byte, b',' | b'"' | b'\r' | b'\n');
        if !bytes.iter().fold(false, |found, b| found | is_quoted(*b)) {
            if formula {
                self.out.push(b'\'');
            }
            self.out.extend_from_slice(bytes);
            return;
        }
        self.out.push(b'"');
        if formula {
            self.out.push(b'\'');
        }
        let start = self.out.len();
        // At the most each byte is a quote.
        self.out.resize(start + 2 * bytes.len(), 0);
        let (result, _, written) =
            csv_core::quote(bytes, &mut self.out[start..], b'"', b'\\', true);
        debug_assert_eq!(result, WriteResult::InputEmpty);
        self.out.truncate(start + written);
        self.out.push(b'"');
    }

    /// The shortest text that reads back as the same double; `NaN`, `Infinity`, `-Infinity`.
    fn double(&mut self, value: f64) {
        match value {
            v if v.is_finite() => {
                self.begin();
                // Doubles are always JSON, and writing to memory does not fail.
                let _ = serde_json::to_writer(&mut self.out, &v);
            }
            v if v.is_nan() => self.plain(b"NaN"),
            v if v > 0.0 => self.plain(b"Infinity"),
            _ => self.plain(b"-Infinity"),
        }
    }

    /// Nanoseconds as milliseconds, exactly: up to six decimals, at least one.
    fn milliseconds(&mut self, ns: i64) {
        self.begin();
        if ns < 0 {
            self.out.push(b'-');
        }
        let ns = ns.unsigned_abs();
        self.out
            .extend_from_slice(self.integers.format(ns / 1_000_000).as_bytes());
        self.out.push(b'.');
        let mut fraction = ns % 1_000_000;
        let mut unit = 100_000;
        loop {
            self.out.push(b'0' + (fraction / unit) as u8);
            fraction %= unit;
            unit /= 10;
            if fraction == 0 {
                break;
            }
        }
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex<const DIGITS: usize>(value: u128) -> [u8; DIGITS] {
    let mut text = [b'0'; DIGITS];
    let bytes = value.to_be_bytes();
    // Fails only where the lengths do not fit, which they do.
    let _ = const_hex::encode_to_slice(&bytes[bytes.len() - DIGITS / 2..], &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(cells: &[(Kind, Value<'_>)]) -> String {
        let mut row = CsvRow::new();
        for (kind, value) in cells {
            row.cell(*kind, value);
        }
        row.end();
        String::from_utf8(row.take()).expect("UTF-8")
    }

    fn text(text: &str) -> (Kind, Value<'_>) {
        (Kind::Text, Value::text(text))
    }

    fn ms(ns: i64) -> (Kind, Value<'static>) {
        (Kind::Milliseconds, Value::Int(ns))
    }

    #[test]
    fn formulas_are_made_text_and_numbers_are_left_alone() {
        let cells = row(&[
            text("=1+1"),
            text("-rm"),
            text("'quoted'"),
            text("a=b"),
            text("=a,b"),
            (Kind::Int64, Value::Int(-5)),
            ms(-1_500_000),
        ]);
        assert_eq!(cells, "'=1+1,'-rm,''quoted',a=b,\"'=a,b\",-5,-1.5\n");
    }

    #[test]
    fn quoting_is_that_of_rfc_4180() {
        let json = (Kind::Json, Value::text("{\"a\":1}"));
        let cells = row(&[
            text("a,b"),
            text("say \"hi\""),
            text("two\nlines"),
            json,
            text(""),
        ]);
        assert_eq!(
            cells,
            "\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",\"{\"\"a\"\":1}\",\n"
        );
    }

    #[test]
    fn milliseconds_are_exact() {
        for (ns, text) in [
            (0, "0.0"),
            (1, "0.000001"),
            (1_250_000, "1.25"),
            (3_000_000, "3.0"),
        ] {
            assert_eq!(row(&[ms(ns)]), format!("{text}\n"));
        }
        assert_eq!(row(&[ms(i64::MIN)]), "-9223372036854.775808\n");
    }

    proptest! {
        #[test]
        fn ids_are_their_hexadecimal_digits(id: u128) {
            prop_assert_eq!(hex::<32>(id).to_vec(), format!("{id:032x}").into_bytes());
            let half = id as u64;
            prop_assert_eq!(hex::<16>(half.into()).to_vec(), format!("{half:016x}").into_bytes());
        }

        #[test]
        fn text_comes_back_and_never_starts_a_formula(cell: String) {
            let cells = row(&[text(&cell), (Kind::Int64, Value::Int(1))]);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(cells.as_bytes());
            let record = reader.records().next().expect("a row").expect("valid CSV");
            prop_assert!(!record[0].starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
            prop_assert_eq!(record[0].strip_prefix('\'').unwrap_or(&record[0]), cell);
        }

        #[test]
        fn doubles_read_back_as_they_were(value: f64) {
            let cell = row(&[(Kind::Double, Value::Double(value))]);
            let read: f64 = cell.trim_end().parse().expect("a number");
            prop_assert!(read == value || (read.is_nan() && value.is_nan()));
        }
    }
}
