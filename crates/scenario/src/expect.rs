//! Whether an answer is what a step expects.

use crate::plan::Expect;

impl Expect {
    /// Whether an HTTP status code counts as success.
    #[inline]
    pub fn matches_status(&self, status: u16) -> bool {
        self.status
            .iter()
            .any(|&(low, high)| (low..=high).contains(&status))
    }

    /// Whether the value of a `content-type` header counts as success. Parameters such as
    /// `charset` and the case of letters don't matter. An answer without the header is checked as
    /// the empty text.
    #[inline]
    pub fn matches_content_type(&self, header: &str) -> bool {
        let Some(wanted) = &self.content_type else {
            return true;
        };
        let media_type = header.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_inclusive_ranges() {
        let expect = Expect {
            status: vec![(200, 299), (404, 404)],
            content_type: None,
        };
        for (status, matches) in [
            (199, false),
            (200, true),
            (299, true),
            (300, false),
            (404, true),
        ] {
            assert_eq!(expect.matches_status(status), matches, "{status}");
        }
        assert!(expect.matches_content_type("text/html"));
    }

    #[test]
    fn media_types_are_compared_without_parameters() {
        let content_type = Some("application/json".to_owned());
        let expect = Expect {
            status: vec![],
            content_type,
        };
        for header in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json ;x",
        ] {
            assert!(expect.matches_content_type(header), "{header}");
        }
        for header in [
            "",
            "text/html",
            "application/jsonx",
            "application/problem+json",
        ] {
            assert!(!expect.matches_content_type(header), "{header}");
        }
    }
}
