use super::*;
use crate::read::parse;

const KINDS: [(&str, &str, i64, i64); 3] = [
    ("calm", "none", 100, 200),
    ("slow", "latency_spike", 200, 300),
    ("hung", "timeout", 300, 400),
];

/// A run from 100 to 450 with three windows that meet, and more lines.
fn conditions(lines: &[String]) -> Conditions {
    Conditions::new(&timeline(&KINDS, lines))
}

fn timeline(windows: &[(&str, &str, i64, i64)], lines: &[String]) -> Timeline {
    let mut text = String::new();
    for (scenario, kind, opened, closed) in windows {
        text += &format!(
            r#"{{"event":"window_opened","scenario":"{scenario}","anomaly":{{"type":"{kind}","label":"l","root_cause":"of {kind}","msg":"m {kind}","root_cause_service":"s-{kind}"}},"planned_start_ns":0,"planned_end_ns":0,"at_ns":{opened}}}
{{"event":"window_closed","scenario":"{scenario}","at_ns":{closed},"last_completed_ns":null,"sent":0,"completed":0,"failed":0,"dropped":0}}
"#
        );
    }
    text += &lines.concat();
    text += "{\"event\":\"run_finished\",\"at_ns\":450,\"status\":\"completed\"}\n";
    parse(text.as_bytes())
}

fn fault(event: &str, scenario: &str, requested: i64, at: i64, more: &str) -> String {
    format!(
        r#"{{"event":"{event}","scenario":"{scenario}","driver":"shop","fault":"hang","service":"user","requested_ns":{requested},"at_ns":{at}{more}}}"#
    ) + "\n"
}

/// Anomaly type and fault state at a time.
fn at(conditions: &Conditions, at_ns: i64) -> (String, FaultState) {
    match conditions.at(at_ns) {
        Placed::Outside => ("outside".to_owned(), FaultState::None),
        Placed::Within {
            condition, stretch, ..
        } => (
            conditions.all()[condition].anomaly_type(),
            conditions.stretches()[stretch].fault_state,
        ),
    }
}

fn assert_at(conditions: &Conditions, expected: &[(i64, &str, FaultState)]) {
    for (time, kind, state) in expected {
        assert_eq!(
            at(conditions, *time),
            ((*kind).to_owned(), *state),
            "at {time}"
        );
    }
}

use FaultState::{Confirmed, Declared, Failed, Harmless, None as NoFault, Sham};

#[test]
fn a_condition_changes_where_changes_are_confirmed() {
    let conditions = conditions(&[
        fault("fault_injected", "slow", 200, 220, ""),
        fault("fault_cleared", "slow", 300, 330, ""),
    ]);
    assert_at(
        &conditions,
        &[
            (99, "outside", NoFault),
            (100, "none", NoFault),
            (219, "none", NoFault),
            (220, "latency_spike", Confirmed),
            // The fault is still there in the window that follows, which has no fault event.
            (310, "latency_spike+timeout", Declared),
            (330, "timeout", Declared),
            (399, "timeout", Declared),
            // Between windows, and after the last, nothing is wrong.
            (400, "none", NoFault),
            (450, "none", NoFault),
            (451, "outside", NoFault),
        ],
    );
    let Placed::Within { condition, .. } = conditions.at(310) else {
        panic!("within the run");
    };
    let both = &conditions.all()[condition];
    assert_eq!(both.root_cause(), "of latency_spike+of timeout");
    assert_eq!(both.symptom().as_deref(), Some("l+l"));
    assert_eq!(
        both.root_cause_service().as_deref(),
        Some("s-latency_spike+s-timeout")
    );
    assert_eq!(
        (both.label, &*both.msg),
        (Label::Anomalous, "m latency_spike; m timeout")
    );
}

#[test]
fn where_an_injection_failed_nothing_is_known() {
    let failed = fault(
        "fault_failed",
        "slow",
        200,
        210,
        r#","change":"inject","reason":"no""#,
    );
    let conditions = conditions(&[failed, fault("fault_cleared", "slow", 300, 320, "")]);
    assert_at(
        &conditions,
        &[
            (199, "none", NoFault),
            (200, "unknown", Failed),
            // It may have come into force; its clearing was confirmed.
            (319, "unknown", Failed),
            (320, "timeout", Declared),
        ],
    );
}

#[test]
fn after_a_clearing_that_was_given_up_nothing_is_known() {
    let conditions = conditions(&[
        fault("fault_injected", "slow", 200, 220, ""),
        fault(
            "fault_failed",
            "slow",
            300,
            440,
            r#","change":"clear","reason":"no""#,
        ),
    ]);
    assert_at(
        &conditions,
        &[
            (299, "latency_spike", Confirmed),
            (300, "unknown", Failed),
            (450, "unknown", Failed),
        ],
    );
}

#[test]
fn a_fault_that_is_never_cleared_lasts_until_the_end() {
    let conditions = conditions(&[fault("fault_injected", "slow", 200, 220, "")]);
    assert_at(&conditions, &[(440, "latency_spike", Confirmed)]);
}

#[test]
fn a_change_that_is_harmless_is_normal_and_a_fault_beside_it_is_not() {
    let windows = [
        ("calm", "none", 100, 200),
        ("release", "none", 200, 300),
        ("slow", "slow", 250, 280),
    ];
    let release = |event: &str, requested, at| {
        let harmless = r#","harmless":true"#;
        fault(event, "release", requested, at, harmless)
    };
    let lines = [
        release("fault_injected", 200, 220),
        fault("fault_injected", "slow", 250, 255, ""),
        fault("fault_cleared", "slow", 280, 285, ""),
        release("fault_cleared", 300, 310),
    ];
    let conditions = Conditions::new(&timeline(&windows, &lines));
    assert_at(
        &conditions,
        &[
            (219, "none", NoFault),
            (220, "none", Harmless),
            (254, "none", Harmless),
            (255, "slow", Confirmed),
            (284, "slow", Confirmed),
            (285, "none", Harmless),
            (309, "none", Harmless),
            (310, "none", NoFault),
        ],
    );
}

#[test]
fn a_sham_window_is_normal() {
    let windows = [("calm", "none", 100, 200), ("sham", "none", 200, 300)];
    let sham = |event: &str, requested, at| fault(event, "sham", requested, at, r#","sham":true"#);
    let lines = [
        sham("fault_injected", 200, 220),
        sham("fault_cleared", 300, 320),
    ];
    let conditions = Conditions::new(&timeline(&windows, &lines));
    assert_at(
        &conditions,
        &[
            (219, "none", NoFault),
            (220, "none", Sham),
            (320, "none", NoFault),
        ],
    );
    let Placed::Within { condition, .. } = conditions.at(250) else {
        panic!("within the run");
    };
    assert_eq!(conditions.all()[condition].label, Label::Normal);
}

#[test]
fn what_somebody_else_changes_is_not_known() {
    let noticed = |change: &str, since: i64, at: i64| {
        let more = format!(r#","change":"{change}","intensity":1.0,"since_ns":{since}"#);
        fault("fault_noticed", "", 0, at, &more)
    };
    let conditions = conditions(&[
        noticed("appeared", 120, 130),
        noticed("gone", 150, 160),
        fault("fault_injected", "slow", 200, 220, ""),
        noticed("lost", 240, 250),
        fault("fault_cleared", "slow", 300, 301, ""),
    ]);
    assert_at(
        &conditions,
        &[
            (119, "none", NoFault),
            (120, "unknown", Failed),
            (160, "none", NoFault),
            (239, "latency_spike", Confirmed),
            (240, "unknown", Failed),
            (301, "timeout", Declared),
        ],
    );
}

#[test]
fn a_fault_of_no_window_has_its_own_name() {
    let conditions = conditions(&[
        fault("fault_injected", "by hand", 120, 130, ""),
        fault("fault_cleared", "by hand", 150, 160, ""),
    ]);
    assert_at(
        &conditions,
        &[(140, "hang", Confirmed), (160, "none", NoFault)],
    );
}

/// Anomaly type and whether it is settled, over `(start, end]`.
fn over(conditions: &Conditions, time: TimeSpan) -> (String, bool) {
    match conditions.over(time) {
        Placed::Outside => ("outside".to_owned(), false),
        Placed::Within {
            condition, settled, ..
        } => (conditions.all()[condition].anomaly_type(), settled),
    }
}

#[test]
fn an_interval_has_the_condition_of_its_longest_share() {
    let conditions = conditions(&[]);
    let cases = [
        ((150, 190), ("none", true)),
        // The windows' edge is none of the condition's: both are settled.
        ((200, 300), ("latency_spike", true)),
        ((180, 230), ("latency_spike", false)),
        ((170, 220), ("none", false)),
        // The earlier one on a tie.
        ((190, 210), ("none", false)),
        // None has half.
        ((150, 450), ("unknown", false)),
        ((60, 140), ("none", false)),
        ((60, 139), ("outside", false)),
        // A moment.
        ((200, 200), ("latency_spike", true)),
    ];
    for (time, (kind, settled)) in cases {
        assert_eq!(
            over(&conditions, time),
            (kind.to_owned(), settled),
            "{time:?}"
        );
    }
}

#[test]
fn without_a_timeline_everything_is_outside() {
    assert_eq!(Conditions::new(&Timeline::default()).at(5), Placed::Outside);
    assert_eq!(Conditions::default().run(), None);
}

#[test]
fn one_type_in_two_services_is_one_type_with_two_services() {
    let in_cart =
        |event: &str, at: i64| fault(event, "nobody", at, at, "").replace("\"user\"", "\"cart\"");
    let lines = [
        fault("fault_injected", "nobody", 110, 110, ""),
        in_cart("fault_injected", 120),
        fault("fault_cleared", "nobody", 130, 130, ""),
        in_cart("fault_cleared", 140),
    ];
    let conditions = conditions(&lines);
    let services = |at_ns: i64| match conditions.at(at_ns) {
        Placed::Outside => None,
        Placed::Within { condition, .. } => {
            let condition = &conditions.all()[condition];
            assert_eq!(condition.anomaly_type(), "hang");
            condition.root_cause_service()
        }
    };
    assert_eq!(services(115).as_deref(), Some("user"));
    assert_eq!(services(125).as_deref(), Some("cart+user"));
    assert_eq!(services(135).as_deref(), Some("cart"));
}
