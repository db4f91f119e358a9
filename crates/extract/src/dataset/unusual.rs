//! What is unusual about a span, as the table of spans says it.

/// What is unusual about a span, measured against the clean normal of its operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unusual {
    /// It took long.
    pub(crate) latency: bool,
    /// The part of it in which no child was at work took long.
    pub(crate) own_latency: bool,
    /// It failed.
    pub(crate) error: bool,
    /// Its children are others, or others in number.
    pub(crate) structure: bool,
    /// It is itself such a child, of an operation that hardly ever came in normal time.
    pub(crate) is_rare: bool,
}

/// What is said of a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OfSpan {
    /// None: nothing can be told.
    pub(crate) unusual: Option<Unusual>,
    /// Whether what is unusual begins in it; none: it can't be told.
    pub(crate) is_root_cause: Option<bool>,
}

impl Unusual {
    /// Whether anything of it is.
    pub(crate) fn any(self) -> bool {
        self.latency || self.error || self.structure
    }

    fn name(self) -> &'static str {
        match (self.latency, self.error, self.structure) {
            (false, false, false) => "none",
            (true, false, false) => "latency",
            (false, true, false) => "error",
            (false, false, true) => "structure",
            (true, true, false) => "latency+error",
            (true, false, true) => "latency+structure",
            (false, true, true) => "error+structure",
            (true, true, true) => "latency+error+structure",
        }
    }
}

impl OfSpan {
    /// As in the dataset.
    pub(crate) fn anomaly(&self) -> Option<&'static str> {
        self.unusual.map(Unusual::name)
    }
}
