# What one types in this project. `just` alone lists the recipes.

_default:
    @just --list

# Run the default scenarios on the embedded shop in about 100 seconds and make a labelled dataset.
run *args:
    cargo run --release -- run scenarios/default.yaml --time-scale 0.1 {{args}}

# Pass the tests.
test *args:
    cargo test --workspace {{args}}

# Pass the tests by cargo-nextest, each in a process of its own, and the examples in comments (needs cargo-nextest).
nextest *args:
    cargo nextest run --workspace {{args}}
    cargo test --workspace --doc

# Measure which lines the tests run: target/llvm-cov/html/index.html (needs cargo-llvm-cov, cargo-nextest).
coverage *args:
    cargo llvm-cov nextest --workspace --html {{args}}

# Run the tests of executors and windows, which are in simulated time, 50 times in a row.
simulated-50:
    cargo test -p loadgen-engine --lib --no-run
    for n in $(seq 50); do cargo test -q -p loadgen-engine --lib -- simulated:: windows:: replay:: || exit 1; done

# Run both engines in turns on the embedded shop and compare what they sent and measured (needs k6).
compare *args:
    cargo run --release -- compare scenarios/quick.yaml {{args}}

# Measure what the k6 module costs beside a bare script, in turn: just k6-cost http://127.0.0.1:8080
k6-cost target *args:
    cargo build --release
    LOADGEN=target/release/loadgen k6/bench/cost.sh {{target}} {{args}}

# Measure the collector beside the real one with its file exporter, in turn (REAL_COLLECTOR=…).
collector-speed *args:
    cargo build --release --workspace --example collect --example throughput
    .ci/collector_speed.sh {{args}}

# Format, lint and check licences, as CI does.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check licenses bans sources

# Measure the extractor against plain JSON parsing; docs/collector.md says how to measure the collector.
bench:
    cargo bench --workspace

# Measure the engine beside a bare loop, wrk and k6, each on a processor of its own: about 12 minutes (needs nginx, wrk, root).
engine-speed *args:
    cargo build --release
    .ci/engine_speed.py {{args}}

# Measure the extractor beside pandas, DuckDB and plain parsers, some 5 minutes: just extraction-speed --telemetry DIR --timeline FILE; with `--sizes 1 10 100` what larger inputs cost, too.
extraction-speed *args:
    cargo build --release
    cargo build --release -p loadgen-otlp --examples
    .ci/extraction_speed.py --loadgen target/release/loadgen {{args}}

# Measure what a clean release build takes, by crate: some 10 minutes.
build-cost *args:
    .ci/build_cost.py {{args}}

# Build the API documentation; a public item without one is an error.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Check the documents: links, lengths of lines, commands and their flags.
documents:
    cargo build
    .ci/docs.py --loadgen target/debug/loadgen

# Write the JSON Schemas in docs/schema anew from the types.
schemas:
    UPDATE_SCHEMAS=1 cargo test --workspace schema

# Measure how often the evidence is wrong: 50 runs with real faults and shams, about an hour with `--at-once 3`.
calibrate *args:
    cargo build --release
    .ci/calibrate.py {{args}}

# Make a campaign of at least 200 episodes with a quarter shams: some two hours, half of that with `--at-once 2`.
campaign out *args:
    cargo build --release
    target/release/loadgen campaign scenarios/training.yaml --episodes 200 --out {{out}} {{args}}

# Run all scenario files of a single anomaly type, and show what the evidence says of each: about 8 minutes.
anomalies *args:
    cargo build --release
    .ci/anomalies.py {{args}}

# Compare a dataset with an independent join by time and independent tables: just join runs/<run>
join folder:
    python3 crates/extract/tests/independent_join.py {{folder}}
    python3 crates/extract/tests/independent_features.py {{folder}}

# Check the Python package, and have its exports read by the tools they are for: about 3 minutes; all of them with `--heavy`.
python *args:
    cargo build
    .ci/python.py --loadgen target/debug/loadgen {{args}}

# Train detectors by the scripts of examples/train on a small set, and run them live: some 10 minutes; PyTorch's with `--torch`.
train *args:
    cargo test --workspace --features loadgen/detect --test detect --test models
    cargo build --features detect
    .ci/examples.py --loadgen target/debug/loadgen {{args}}

# Open the report in a headless Chromium, live and at the end, light and dark, wide and narrow: about 3 minutes.
report-browser *args:
    cargo build
    .ci/report.py --loadgen target/debug/loadgen {{args}}

# Compare what datasets say of single spans with the shop's record (`run --record-faults`): just touched runs/<run>
touched +folders:
    .ci/fault_record.py {{folders}}

# Kill runs, their guards, or both at random moments, with each driver: 30 kills each; sooner with `--at-once 3`.
crashes *args:
    cargo build --release --workspace --features loadgen/chaos-mesh --bin loadgen --example chaos_mesh_stand_in
    .ci/crashes.py {{args}}

# Disturb runs, shops, collectors, guards, extractions and campaigns at drawn moments: about 25 minutes with `--size nightly`, 3 with `--size ci` (needs root for full disks, k6, libfaketime).
reliability *args:
    cargo build --release
    .ci/reliability.py {{args}}

# Send 80 % of the rate of a core for 30 minutes and see whether anything grows, and each request is counted; sooner with `--minutes 10` (needs nginx).
soak *args:
    cargo build --release
    .ci/soak.py {{args}}

# Make a dataset of the example of three services, about 6 minutes (needs Node, Python, Java, Maven, PostgreSQL).
example *args:
    cargo build --release
    examples/three-services/try --loadgen target/release/loadgen {{args}}

# Try the recipes of examples/recipes for real, where the machine has what they need: about 3 minutes.
recipes *args:
    cargo build
    .ci/recipes.py --loadgen target/debug/loadgen {{args}}

# Apply deploy/k8s to a real Kubernetes control plane, and run its pods as processes: about 3 minutes (needs Go, root).
kubernetes *args:
    cargo build --features upload
    LOADGEN_REAL_APISERVER="${LOADGEN_REAL_APISERVER:?build .ci/control-plane, see its README.md}" \
        .ci/kubernetes.py --loadgen target/debug/loadgen {{args}}

# Build the image of one static program, and run it in its own root (needs musl-tools, buildah, root).
image *args:
    deploy/image/build {{args}}

# Label on Apache Spark, two workers on loopback of which one is killed, and compare with one process: about 4 minutes (needs Java 17).
spark *args:
    cargo build
    .ci/spark.py --loadgen target/debug/loadgen {{args}}

# Write a list of what the program is built of, as CycloneDX: target/loadgen.cdx.json (needs cargo-cyclonedx).
sbom:
    cargo cyclonedx --manifest-path crates/loadgen/Cargo.toml --features chaos-mesh,upload \
        --target x86_64-unknown-linux-musl --format json --override-filename loadgen.cdx
    mv crates/loadgen/loadgen.cdx.json target/
    rm -f crates/*/loadgen.cdx.json

# Run the whole pipeline with a real Jaeger at its end: about 4 minutes after the build (needs Go, nginx, Prometheus).
jaeger *args:
    cargo build
    cd .ci/jaeger && go build -o "${LOADGEN_CI_CACHE:-$HOME/.cache/loadgen-ci}/jaeger" \
        github.com/jaegertracing/jaeger/cmd/jaeger
    .ci/pipeline.py --loadgen target/debug/loadgen \
        --jaeger "${LOADGEN_CI_CACHE:-$HOME/.cache/loadgen-ci}/jaeger" {{args}}
