//! The names of fields. In Rust a field of a message is called what it is called in OTLP's
//! `.proto` files, `start_time_unix_nano`; its name in JSON follows from that by protobuf's rule,
//! `startTimeUnixNano`. So no name is written down twice, and both are read everywhere.

/// Longest name, with what a member has around it.
const CAPACITY: usize = 40;

/// A field's name in JSON, made when the program is compiled.
pub(crate) struct JsonName {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl JsonName {
    /// From the name in the `.proto` file, or that as an identifier (`r#type`).
    pub(crate) const fn of(field: &str) -> Self {
        let field = field.as_bytes();
        let mut name = Self {
            bytes: [0; CAPACITY],
            len: 0,
        };
        let mut at = if field.len() > 2 && field[1] == b'#' {
            2
        } else {
            0
        };
        while at < field.len() {
            if field[at] == b'_' {
                at += 1;
                name.bytes[name.len] = field[at].to_ascii_uppercase();
            } else {
                name.bytes[name.len] = field[at];
            }
            name.len += 1;
            at += 1;
        }
        name
    }

    /// The name as a member of an object, `,"name":`.
    pub(crate) const fn as_member(&self) -> Self {
        let mut member = Self {
            bytes: [0; CAPACITY],
            len: self.len + 4,
        };
        (member.bytes[0], member.bytes[1]) = (b',', b'"');
        let mut at = 0;
        while at < self.len {
            member.bytes[at + 2] = self.bytes[at];
            at += 1;
        }
        (member.bytes[at + 2], member.bytes[at + 3]) = (b'"', b':');
        member
    }

    pub(crate) const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(name) => name,
            Err(_) => panic!("a field's name is ASCII"),
        }
    }
}

/// The name in JSON of a field.
macro_rules! json_name {
    ($field:ident) => {{
        const NAME: &$crate::json::names::JsonName =
            &$crate::json::names::JsonName::of(stringify!($field));
        const TEXT: &str = NAME.as_str();
        TEXT
    }};
}

/// A field's name in JSON as a member of an object: after a comma, in quotes, with a colon.
macro_rules! json_member {
    ($field:ident) => {{
        const MEMBER: &$crate::json::names::JsonName =
            &$crate::json::names::JsonName::of(stringify!($field)).as_member();
        const TEXT: &str = MEMBER.as_str();
        TEXT
    }};
}

pub(crate) use {json_member, json_name};

#[cfg(test)]
mod tests {
    #[test]
    fn names_follow_protobufs_rule() {
        assert_eq!(json_name!(start_time_unix_nano), "startTimeUnixNano");
        assert_eq!(json_name!(name), "name");
        assert_eq!(json_name!(r#type), "type");
        assert_eq!(json_member!(r#type), ",\"type\":");
    }
}
