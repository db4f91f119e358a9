//! The test vectors of `docs/prng-vectors.json`, which the JavaScript of `docs/prng.mjs` made.

use loadgen_scenario::{Iteration, PlanOptions, Prng, StepRequest, plan_str, prng::threefry2x32};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    threefry2x32: Vec<Block>,
    streams: Vec<Stream>,
    encode_for_path: Vec<Encoded>,
    numbers: Vec<Number>,
}

#[derive(Deserialize)]
struct Number {
    json: String,
    text: String,
}

#[derive(Deserialize)]
struct Encoded {
    text: String,
    encoded: String,
}

#[derive(Deserialize)]
struct Block {
    key: [u32; 2],
    counter: [u32; 2],
    words: [u32; 2],
}

#[derive(Deserialize)]
struct Stream {
    seed: u64,
    scenario: String,
    key: [u32; 2],
    draws: Vec<Draw>,
}

#[derive(Deserialize)]
struct Draw {
    iteration: u64,
    site: u32,
    words: [u32; 2],
    unit: f64,
    index_9: u32,
    index_2097152: u32,
    range_1_6: i64,
    range_wide: i64,
    hex_5: String,
    hex_16: String,
    uuid: String,
}

fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/prng-vectors.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn values_are_encoded_alike() {
    let vectors = vectors();
    assert!(vectors.encode_for_path.len() >= 5);
    for Encoded { text, encoded } in &vectors.encode_for_path {
        // A JSON text is a YAML text.
        let text = serde_json::to_string(text).unwrap();
        let file = format!(
            "version: 1
flows: {{default: {{vars: {{v: {{pick: [{text}]}}}}, steps: [{{path: '/${{v}}'}}]}}}}
scenarios: {{one: {{executor: constant-vus, duration: 1s}}}}"
        );
        let plan = plan_str("vectors.yaml", &file, &PlanOptions::default()).unwrap();
        let scenario = &plan.scenarios[0];
        let mut iteration = Iteration::new(&plan, scenario, Prng::new(0, &scenario.name), 0);
        let StepRequest::Send(request) = iteration.request(0) else {
            panic!()
        };
        assert_eq!(request.path[1..], **encoded);
    }
}

/// A captured number goes into a path, a header, a text and a body as JavaScript writes it.
#[test]
fn numbers_are_written_alike() {
    let file = "
version: 1
flows:
  default:
    steps:
      - {path: /, capture: {n: ''}}
      - {path: '/?${n}', headers: {x-n: '${n}'}, json: ['${n}', 'n=${n}']}
scenarios: {one: {executor: constant-vus, duration: 1s}}";
    let plan = plan_str("vectors.yaml", file, &PlanOptions::default()).unwrap();
    let scenario = &plan.scenarios[0];
    let vectors = vectors();
    assert!(vectors.numbers.len() >= 20);
    for Number { json, text } in &vectors.numbers {
        let mut iteration = Iteration::new(&plan, scenario, Prng::new(0, &scenario.name), 0);
        iteration.request(0);
        iteration.capture(0, json.as_bytes()).unwrap();
        let StepRequest::Send(request) = iteration.request(1) else {
            panic!()
        };
        assert_eq!(
            request.path,
            format!("/?{}", text.replace('+', "%2B")),
            "{json}"
        );
        assert_eq!(request.headers[0].1, **text, "{json}");
        let body = String::from_utf8(request.body.unwrap()).unwrap();
        assert_eq!(body, format!("[{text},\"n={text}\"]"), "{json}");
    }
}

#[test]
fn javascript_and_rust_agree() {
    let vectors = vectors();
    assert!(vectors.threefry2x32.len() >= 3 && vectors.streams.len() >= 6);
    for block in &vectors.threefry2x32 {
        assert_eq!(threefry2x32(block.key, block.counter), block.words);
    }
    for stream in &vectors.streams {
        let prng = Prng::new(stream.seed, &stream.scenario);
        assert_eq!(
            prng.key(),
            stream.key,
            "{} {}",
            stream.seed,
            stream.scenario
        );
        for draw in &stream.draws {
            let (iteration, site) = (draw.iteration, draw.site);
            assert_eq!(prng.words(iteration, site), draw.words);
            assert_eq!(prng.unit(iteration, site), draw.unit);
            assert_eq!(prng.index(iteration, site, 9), draw.index_9);
            assert_eq!(prng.index(iteration, site, 1 << 21), draw.index_2097152);
            assert_eq!(prng.range(iteration, site, 1, 6), draw.range_1_6);
            let wide = prng.range(iteration, site, -1_000_000_000_000, 8_000_000_000_000_000);
            assert_eq!(wide, draw.range_wide);
            assert_eq!(prng.hex(iteration, site, 5), draw.hex_5);
            assert_eq!(prng.hex(iteration, site, 16), draw.hex_16);
            assert_eq!(prng.uuid(iteration, site), draw.uuid);
        }
    }
}
