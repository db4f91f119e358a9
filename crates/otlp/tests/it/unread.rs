//! What a message holds and nobody reads is counted and named.

use crate::kit::{field, framed, message, read};

/// Items, and how many things of how many skipped messages are named.
fn counted(content: &str) -> (usize, Vec<(u64, String)>) {
    let (items, summary) = read(content);
    let named = summary.skipped.into_iter().map(|it| (it.parts, it.reason));
    (items.len(), named.collect())
}

#[test]
fn fields_that_are_not_known_and_may_hold_items_are_named() {
    let of = |before: &str, within: &str, metric: &str| {
        format!(
            r#"{{"resourceMetrics":[{{{within}"scopeMetrics":[{{"metrics":[{{"name":"m","gauge":{{"dataPoints":[{{"asInt":"1"}}]}}{metric}}}]}}]}}]{before}}}"#
        )
    };
    for (content, parts, name) in [
        (
            of(r#","resourceProfiles":[{},{}]"#, "", ""),
            2,
            "`resourceProfiles`",
        ),
        (of(r#","ResourceSpans":[{}]"#, "", ""), 1, "`ResourceSpans`"),
        (of("", r#""spans":[{},{},{}],"#, ""), 3, "`spans`"),
        (of("", r#""scopeSpans":[{}],"#, ""), 1, "`scopeSpans`"),
        (
            of("", "", r#","intGauge":{"dataPoints":[{},{}]}"#),
            2,
            "`intGauge`",
        ),
        (
            of("", "", r#","gauge":{"DataPoints":[{"asInt":"1"}]}"#),
            1,
            "`DataPoints`",
        ),
        (
            of("", "", r#","sum":{"dataPoints":[{"asInt":"1"},{}]}"#),
            1,
            "`gauge`",
        ),
    ] {
        let (_, named) = counted(&content);
        let [(found, reason)] = &named[..] else {
            panic!("{content}: {named:?}");
        };
        assert!(
            *found == parts && reason.contains(name),
            "{name}: {named:?}"
        );
    }
    // What can't hold items is no loss.
    let fine = of(
        r#","x":1,"y":"{","z":[1,"a"],"w":{"v":{"u":1}}"#,
        r#""schemaUrl":"s","deprecated":{},"#,
        r#","description":"d","unit":"u","metadata":[{"key":"k"}]"#,
    );
    assert_eq!(counted(&fine), (1, vec![]));
    let (_, named) = counted(r#"{"resourceProfiles":[{}],"dictionary":{}}"#);
    assert!(matches!(&named[..], [(0, why)] if why.contains("`resourceProfiles`, `dictionary`")));
}

#[test]
fn fields_of_protobuf_that_are_not_known_are_named() {
    let point = field(1, &[field(1, b"a"), field(2, b"b")].concat());
    let gauge = field(5, &field(1, &[&point[..], &[0x21; 9]].concat()));
    let of = |message: &[u8], resource: &[u8], scope: &[u8], metric: &[u8]| {
        let metric = field(2, &[&field(1, b"m"), &gauge[..], metric].concat());
        let scope = field(2, &[&metric[..], &field(3, b"url"), scope].concat());
        let resource = field(1, &[&scope[..], &field(3, b"url"), resource].concat());
        framed(&[&[&resource[..], message].concat()])
    };
    let odd = field(7, b"x");
    let old = field(4, &field(1, b""));
    for (content, place) in [
        (of(&odd, b"", b"", b""), "field 7 is not known in a message"),
        (of(b"", &odd, b"", b""), "in a resource's part"),
        (of(b"", b"", &odd, b""), "in a scope's part"),
        (of(b"", b"", b"", &old), "field 4 is not known in a metric"),
    ] {
        let (items, summary) = read(content);
        // What was a label is an attribute.
        assert!(items.len() == 1 && items[0].contains("key: \"a\", value: Text(\"b\")"));
        let [skipped] = &summary.skipped[..] else {
            panic!("{place}: {summary:?}");
        };
        assert!(skipped.reason.contains(place), "{skipped:?}");
        assert_eq!((skipped.message, skipped.parts), (0, 1));
    }
    let (items, summary) = read(of(b"", b"", b"", b""));
    assert_eq!((items.len(), &summary.skipped[..]), (1, &[][..]));
}

#[test]
fn values_of_no_kind_that_is_known_and_ids_by_another_name_are_named() {
    let of = |value: &str| {
        let attributes = format!(r#"{{"attributes":[{{"key":"a","value":{value}}}]}}"#);
        message("a").replacen("\"resource\":{}", &format!("\"resource\":{attributes}"), 1)
    };
    let ids = r#""traceID":"00000000000000000000000000000001","spanID":"0000000000000001""#;
    let content = message("a").replacen("\"name\"", &format!("{ids},\"name\""), 1);
    let (items, named) = counted(&content);
    assert!(
        items == 1 && matches!(&named[..], [(2, why)] if why.contains("`traceID`")),
        "{named:?}"
    );
    for (value, odd) in [
        (r#"{"Value":{"StringValue":"web"}}"#, 1),
        (
            r#"{"arrayValue":{"values":[{"x":1},{"intValue":1},{"y":2}]}}"#,
            2,
        ),
        (r#"{"stringValue":"web"}"#, 0),
        ("{}", 0),
        ("null", 0),
    ] {
        let (items, named) = counted(&of(value));
        let parts: u64 = named.iter().map(|(parts, _)| parts).sum();
        assert_eq!((items, parts), (1, odd), "{value}: {named:?}");
    }
}
