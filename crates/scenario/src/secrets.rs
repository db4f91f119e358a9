//! Secrets that a plan names and does not hold: put in when it is run.

use crate::plan::{JsonTemplate, Part, Plan, SecretSource, Template};

/// A plan with its secrets put in, as it is sent. It is not to be written anywhere.
///
/// # Errors
/// What `read` says of the first secret that it can't give.
pub fn filled<E>(
    plan: &Plan,
    mut read: impl FnMut(&SecretSource) -> Result<String, E>,
) -> Result<Plan, E> {
    let mut plan = plan.clone();
    for step in plan.flows.iter_mut().flat_map(|flow| &mut flow.steps) {
        for (_, text) in &mut step.headers {
            template(text, &mut read)?;
        }
        if let Some(body) = &mut step.json {
            json(body, &mut read)?;
        }
    }
    Ok(plan)
}

fn template<E>(
    template: &mut Template,
    read: &mut impl FnMut(&SecretSource) -> Result<String, E>,
) -> Result<(), E> {
    for part in &mut template.0 {
        if let Part::Secret(source) = part {
            *part = Part::Text(read(source)?);
        }
    }
    Ok(())
}

fn json<E>(
    body: &mut JsonTemplate,
    read: &mut impl FnMut(&SecretSource) -> Result<String, E>,
) -> Result<(), E> {
    match body {
        JsonTemplate::Text(text) => template(text, read),
        JsonTemplate::Array(items) => items.iter_mut().try_for_each(|item| json(item, read)),
        JsonTemplate::Object(entries) => {
            let mut entries = entries.iter_mut();
            entries.try_for_each(|(_, entry)| json(entry, read))
        }
        JsonTemplate::Value(_) | JsonTemplate::Var(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Iteration, PlanOptions, Prng, StepRequest, plan_str};

    const FILE: &str = "
version: 1
flows:
  default:
    steps:
      - path: /
        headers: {authorization: 'Bearer ${env:TOKEN}'}
        json: {user: me, password: '${file:pw}', deep: [{pin: 'x${env:PIN}'}]}
scenarios:
  a: {executor: constant-vus, duration: 1s}
";

    fn plan() -> Plan {
        plan_str("a.yaml", FILE, &PlanOptions::default()).unwrap()
    }

    #[test]
    fn a_plan_has_the_names_and_a_request_the_values() {
        let plan = plan();
        let written = serde_json::to_string(&plan).unwrap();
        assert!(
            written.contains(r#"{"secret":{"env":"TOKEN"}}"#),
            "{written}"
        );
        let read: Plan = serde_json::from_str(&written).unwrap();
        assert_eq!(read, plan);
        let sent = filled(&plan, |source| match source {
            SecretSource::Env(name) => Ok(format!("value-of-{name}")),
            SecretSource::File(path) if path == "pw" => Ok("\"".to_owned()),
            SecretSource::File(path) => Err(path.clone()),
        });
        let sent = sent.unwrap();
        let prng = Prng::new(0, "a");
        let mut iteration = Iteration::new(&sent, &sent.scenarios[0], prng, 0);
        let StepRequest::Send(request) = iteration.request(0) else {
            panic!("nothing is sent");
        };
        let headers = format!("{:?}", request.headers);
        assert!(headers.contains("Bearer value-of-TOKEN"), "{headers}");
        let body = String::from_utf8(request.body.unwrap().to_vec()).unwrap();
        let wanted = r#"{"user":"me","password":"\"","deep":[{"pin":"xvalue-of-PIN"}]}"#;
        assert_eq!(body, wanted);
    }

    #[test]
    fn what_cant_be_read_is_told_and_without_it_nothing_is_sent() {
        let plan = plan();
        assert_eq!(filled(&plan, |_| Err("no")), Err("no"));
        let mut iteration = Iteration::new(&plan, &plan.scenarios[0], Prng::new(0, "a"), 0);
        assert!(!matches!(iteration.request(0), StepRequest::Send(_)));
    }

    #[test]
    fn paths_and_baggage_take_none() {
        for step in ["{path: '/${env:A}'}", "{path: /, baggage: {a: '${env:A}'}}"] {
            let file = FILE.replace("path: /\n", "path: /x\n");
            let file = file.replace("    steps:\n", &format!("    steps:\n      - {step}\n"));
            let refused = plan_str("a.yaml", &file, &PlanOptions::default()).unwrap_err();
            let refused = refused.to_string();
            assert!(refused.contains("cannot stand in a"), "{refused}");
            assert!(refused.contains("a.yaml:6"), "{refused}");
        }
    }
}
