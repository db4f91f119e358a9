//! How often a window without any fault is called `supported`, and how often one with a fault is:
//! by drawing windows. `cargo run --release -p loadgen-evidence --example error_rates -- 1000`
//! draws as many of each kind. The figures of `docs/evidence.md` are from here.

#[path = "../tests/it/simulated.rs"]
mod simulated;

use loadgen_evidence::{
    Measure, ServiceSignal, Subject, Thresholds, Verdict, WindowEvidence, evaluate,
};
use simulated::{Drawn, Fault};

fn main() {
    let draws: u64 = std::env::args()
        .nth(1)
        .map_or(200, |text| text.parse().expect("a number"));
    let thresholds = Thresholds::default();
    let evaluated = |drawn: Drawn| -> WindowEvidence {
        let (run, sample) = drawn.run();
        evaluate(&run, &sample, &thresholds).windows.remove(0)
    };
    println!(
        "{:<46}{:>10}{:>7}{:>15}{:>9}",
        "", "supported", "weak", "not_supported", "p ≤ 0.05"
    );
    let table = |name: String, drawn: Drawn| {
        let mut counts = [0_u64; 4];
        let mut small_p = (0_u64, 0_u64);
        let (mut covered, mut intervals) = (0_u64, 0_u64);
        for seed in 0..draws {
            let evidence = evaluated(Drawn {
                seed: seed * 7919 + 11,
                ..drawn
            });
            let index = match evidence.verdict {
                Some(Verdict::Supported) => 0,
                Some(Verdict::Weak) => 1,
                Some(Verdict::NotSupported) => 2,
                _ => 3,
            };
            counts[index] += 1;
            for p in evidence
                .family
                .iter()
                .flat_map(|signal| &signal.comparisons)
                .map(|one| one.p_alone)
            {
                small_p = (small_p.0 + u64::from(p <= 0.05), small_p.1 + 1);
            }
            let duration = evidence
                .family
                .iter()
                .find(|one| one.signal == ServiceSignal::Duration);
            for one in duration.iter().flat_map(|signal| &signal.comparisons) {
                if one.measure == Measure::DurationMs && one.subject == Subject::AllOperations {
                    covered += u64::from(one.effect.low <= 0.0 && one.effect.high >= 0.0);
                    intervals += 1;
                }
            }
        }
        let share = |count: u64| format!("{:.1} %", 100.0 * count as f64 / draws as f64);
        let coverage = match drawn.fault {
            Fault::Nothing if drawn.load_exponent == 0.0 => {
                format!(
                    "   interval of δ has 0 in {:.1} %",
                    100.0 * covered as f64 / intervals as f64
                )
            }
            _ => String::new(),
        };
        println!(
            "{name:<46}{:>10}{:>7}{:>15}{:>9}{coverage}",
            share(counts[0]),
            share(counts[1]),
            share(counts[2]),
            format!("{:.1} %", 100.0 * small_p.0 as f64 / small_p.1 as f64),
        );
    };
    for (name, fault) in [
        ("nothing", Fault::Nothing),
        ("two operations 5 ms slower", Fault::Slow(5.0)),
        ("20 % errors", Fault::Errors(0.2)),
        ("callers wait 5 ms longer", Fault::Starved(5.0)),
        ("80 % cache misses", Fault::Misses(0.8)),
        ("80 % wait for a connection", Fault::PoolWait(0.8)),
        ("60 % unanswered", Fault::Dead(0.6)),
    ] {
        for (what, window_s, reference_s) in [
            ("110 s", 110.0, 108.0),
            ("11 s", 11.0, 11.4),
            ("5.7 s", 5.7, 7.2),
        ] {
            table(
                format!("{name}, {what}"),
                Drawn {
                    fault,
                    window_s,
                    reference_s,
                    ..Drawn::default()
                },
            );
        }
    }
    println!();
    // Operations of 2 to 18 ms: here the least increase of 1 ms is no help.
    let sham = Drawn {
        scale: 30.0,
        ..Drawn::default()
    };
    for (name, drawn) in [
        ("twice the load", sham),
        ("half the load", Drawn { load: 0.5, ..sham }),
        (
            "ten times the load",
            Drawn {
                load: 10.0,
                rate: 4.0,
                ..sham
            },
        ),
        (
            "ten times the load, half again as slow",
            Drawn {
                load: 10.0,
                load_exponent: 0.18,
                ..sham
            },
        ),
        (
            "moods of 2 s",
            Drawn {
                mood_s: 2.0,
                ..sham
            },
        ),
        (
            "moods of 2 s, twice as strong",
            Drawn {
                mood_s: 2.0,
                mood: 0.4,
                ..sham
            },
        ),
        (
            "moods of 10 s",
            Drawn {
                mood_s: 10.0,
                ..sham
            },
        ),
        (
            "moods of 10 s, twice as strong",
            Drawn {
                mood_s: 10.0,
                mood: 0.4,
                ..sham
            },
        ),
        (
            "few requests",
            Drawn {
                rate: 2.0,
                load: 1.5,
                ..sham
            },
        ),
        (
            "few requests, 5.7 s",
            Drawn {
                rate: 4.0,
                load: 1.5,
                window_s: 5.7,
                reference_s: 7.2,
                ..sham
            },
        ),
    ] {
        table(format!("nothing, {name}"), drawn);
    }
}
