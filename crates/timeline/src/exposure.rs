//! Whether the client that sent a request was one that a fault is for.
//! Design: `docs/design/0116-faults-that-some-clients-meet.md`.

use loadgen_scenario::Prng;
use loadgen_scenario::clients::cell;

use crate::read::{FaultInterval, Timeline};

impl Timeline {
    /// Whether the client that an iteration is was one of those that the faults in force at a
    /// moment, in Unix nanoseconds, are for. None: none of them was for some clients only.
    pub fn client_exposed(&self, scenario: &str, iteration: u64, at_ns: i64) -> Option<bool> {
        let in_force = |fault: &&FaultInterval| {
            let cleared = fault.cleared.as_ref();
            fault.injected.breaks()
                && fault.injected.at_ns <= at_ns
                && cleared.is_none_or(|cleared| at_ns < cleared.at_ns)
        };
        let mut clients = (self.faults.iter().filter(in_force)).map(|fault| fault.injected.clients);
        if clients.clone().all(|clients| clients.is_none()) {
            return None;
        }
        let prng = Prng::new(self.run.as_ref()?.seed, scenario);
        let cell = cell(prng, iteration);
        Some(clients.any(|clients| clients.is_none_or(|clients| clients.contain(cell))))
    }
}

#[cfg(test)]
mod tests {
    use crate::read::parse;

    const STARTED: &str = r#"{"event":"run_started","schema_version":2,"run_id":"r","at_ns":0,"scenario_file":"f","scenario_sha256":"","seed":7,"time_scale":1.0,"engine":"rust","target":"t","loadgen_version":"v"}"#;

    fn fault(event: &str, at_ns: i64, name: &str, more: &str) -> String {
        format!(
            r#"{{"event":"{event}","scenario":"{name}","driver":"shop","fault":"{name}","service":"a","requested_ns":{at_ns},"at_ns":{at_ns}{more}}}"#
        )
    }

    #[test]
    fn some_clients_meet_a_fault_while_it_is_in_force() {
        let some = r#","clients":{"from":90,"count":30}"#;
        let lines = [
            STARTED.to_owned(),
            fault("fault_injected", 100, "hang", some),
            fault("fault_injected", 150, "slow", ""),
            fault("fault_cleared", 180, "slow", ""),
            fault("fault_cleared", 200, "hang", some),
            fault("fault_injected", 300, "slow", ""),
        ];
        let timeline = parse(lines.join("\n").as_bytes());
        let exposed = |at| -> Vec<Option<bool>> {
            let iterations = 0..1_000;
            iterations
                .map(|n| timeline.client_exposed("shoppers", n, at))
                .collect()
        };
        for at in [99, 200, 300] {
            assert!(exposed(at).iter().all(Option::is_none), "{at}");
        }
        let met = |at| exposed(at).iter().filter(|e| **e == Some(true)).count();
        // Five standard deviations are 72.
        assert!((228..372).contains(&met(100)), "{}", met(100));
        assert_eq!(exposed(100), exposed(199));
        // The other fault is for all.
        assert_eq!(met(150), 1_000);
    }
}
