//! Why figures differ, in plain words: whether the target answered differently, or the generators
//! measured differently.

use crate::comparison::{Row, Sides};
use crate::statistics::FigureVerdict;

/// Writes the note of each row of a scenario that differs and whose cause can be told.
pub(crate) fn explain(rows: &mut [Row], sides: &Sides, a_was_first: &[bool], is_open_model: bool) {
    for index in 0..rows.len() {
        let (what, quantile) = match rows[index].metric.id.split_once('.') {
            Some((what, quantile)) => (what, quantile),
            None => (&*rows[index].metric.id, ""),
        };
        if rows[index].verdict != FigureVerdict::Different {
            continue;
        }
        let note = match what {
            "client" => client(rows, quantile, sides, a_was_first, &rows[index]),
            "intended" => intended(rows, quantile, sides, a_was_first, &rows[index]),
            "requests" | "iterations" | "requests_per_s" | "iterations_per_s" if !is_open_model => {
                "Closed model: each VU waits for its answers, so how much is sent follows from how \
                 fast they come."
                    .to_owned()
            }
            _ => continue,
        };
        rows[index].note = note;
    }
}

fn client(rows: &[Row], p: &str, sides: &Sides, a_was_first: &[bool], this: &Row) -> String {
    let server = find(rows, &format!("server.{p}"));
    let outside = outside(rows, p, sides);
    match server.map_or(FigureVerdict::NotAvailable, |server| server.verdict) {
        FigureVerdict::Same => format!(
            "The target itself answered alike (target side {}), so the difference arises outside of \
             it: the generators' own overhead, unless requests wait before the target begins its \
             span. {outside}.",
            percent(server)
        ),
        FigureVerdict::Different => format!(
            "The target itself answered differently (target side {}): the order of the runs, \
             warm-up, noise, or a generator that takes processor time from a target on the same \
             machine{}. {outside}.",
            percent(server),
            order(this, a_was_first)
        ),
        FigureVerdict::NotEnoughData => format!(
            "Whether the target itself answered differently can't be told from these runs \
             (target side {}). {outside}.",
            percent(server)
        ),
        FigureVerdict::NotAvailable => {
            "What the target itself measured is not available, so whether it \
                                  answered differently or the generator adds the difference can't \
                                  be told."
                .to_owned()
        }
    }
}

fn intended(rows: &[Row], p: &str, sides: &Sides, a_was_first: &[bool], this: &Row) -> String {
    match find(rows, &format!("client.{p}")) {
        Some(sent) if sent.verdict == FigureVerdict::Different => {
            client(rows, p, sides, a_was_first, this)
        }
        Some(sent) => {
            let late = |intended: Option<f64>, sent: Option<f64>| {
                let ms = intended.zip(sent).map(|(intended, sent)| intended - sent);
                ms.map_or("-".to_owned(), |ms| format!("{ms:.2} ms"))
            };
            format!(
                "From the actual send it is not different ({}): one side sends later than the \
                 schedule says. From intended to actual send this quantile moves by {} with {} and \
                 by {} with {}.",
                percent(Some(sent)),
                late(this.mean_a(), sent.mean_a()),
                sides.a,
                late(this.mean_b(), sent.mean_b()),
                sides.b
            )
        }
        None => String::new(),
    }
}

/// What each side adds outside of the target, at the quantile if it is there, else at the median.
fn outside(rows: &[Row], p: &str, sides: &Sides) -> String {
    let at = |p: &str| {
        let row = find(rows, &format!("outside.{p}"))?;
        Some((p.to_owned(), row.mean_a()?, row.mean_b()?))
    };
    let Some((p, a, b)) = at(p).or_else(|| at("p50")) else {
        return "What requests wait outside of the target is not known".to_owned();
    };
    let which = if p == "p50" { "median" } else { &p };
    format!(
        "Outside of the target (client less target, {which}) a request takes {a:.2} ms with {} and \
         {b:.2} ms with {}, {:+.2} ms",
        sides.a,
        sides.b,
        b - a
    )
}

/// How often the run that came second was the slower one; empty with one pair.
fn order(row: &Row, a_was_first: &[bool]) -> String {
    let slower_second = row
        .a
        .iter()
        .zip(&row.b)
        .zip(a_was_first)
        .filter_map(|((a, b), first)| Some(((*b)? > (*a)?) == *first));
    let votes: Vec<bool> = slower_second.collect();
    if votes.len() < 2 {
        return String::new();
    }
    let second = votes.iter().filter(|second| **second).count();
    format!(
        " (the run that came second was the slower one in {second} of {} pairs)",
        votes.len()
    )
}

fn percent(row: Option<&Row>) -> String {
    match row.and_then(|row| row.difference.as_ref()) {
        Some(difference) => format!("{:+.1} %", difference.mean),
        None => "not known".to_owned(),
    }
}

fn find<'r>(rows: &'r [Row], id: &str) -> Option<&'r Row> {
    rows.iter().find(|row| row.metric.id == id)
}
