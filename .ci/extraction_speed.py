#!/usr/bin/env python3
"""How fast the extractor is beside others that read the same telemetry, in one go.

    .ci/extraction_speed.py --loadgen target/release/loadgen --telemetry DIR --timeline FILE

Each command is run five times, in turns, so that moods of the machine meet all of them. What counts
is CPU time (user and system, of the process and of its children), as MB (10^6 bytes) of JSON a CPU
second, and the most memory that it had. The median of each is shown, and the worst.

Peers: Python's json with pandas and DuckDB, which write a CSV file of 12 columns of spans, each span
with the window that was open when it began; orjson, which only parses; and serde_json into types that
borrow, with every attribute (crates/otlp/examples/typed_parse.rs). They read the traces alone, the
extractor reads all signals. Python packages are installed once, in pinned versions, into an
environment in the cache.

Without `--telemetry` a run of the demo shop is made first, and multiplied to some 200 MB. With
`--sizes 1 10 100` the telemetry is also written 10 and 100 times, with other trace ids each time, and
the cost of each size is shown as a table and a plot.
"""

import argparse
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trial import Wrong, call, environment

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ["pandas==3.1.1", "duckdb==2.0.1", "orjson==3.13.0", "zstandard==0.25.0"]

# How the extractor is asked: what is measured, its options, and the goal in MB a CPU second.
MODES = {
    "labels, evidence, files of classes": (["--formats", "csv", "--labels-only"], 250),
    "all tables, graphs and the page": ([], 150),
    "Parquet alone": (["--formats", "parquet", "--labels-only"], 350),
}

PANDAS = """
import json, sys
import pandas
rows = []
for path in sys.argv[3:]:
    with open(path) as lines:
        for line in lines:
            for resource in json.loads(line).get("resourceSpans", []):
                own = {a["key"]: a["value"] for a in resource["resource"].get("attributes", [])}
                service = own.get("service.name", {}).get("stringValue")
                for scope in resource["scopeSpans"]:
                    for span in scope["spans"]:
                        of = {a["key"]: a.get("value", {}) for a in span.get("attributes", [])}
                        text = lambda *keys: next(
                            (list(of[key].values())[0] for key in keys if of.get(key)), None)
                        rows.append((
                            int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]), service,
                            span["traceId"], span["spanId"], span.get("parentSpanId"), span["name"],
                            span.get("kind"), span.get("status", {}).get("code"),
                            text("http.request.method", "http.method"),
                            text("http.response.status_code", "http.status_code"),
                            text("url.path", "http.target", "url.full", "http.url")))
frame = pandas.DataFrame(rows, columns=[
    "start", "end", "service", "trace_id", "span_id", "parent", "name", "kind", "status", "method",
    "http_status", "target"])
windows = pandas.DataFrame(json.load(open(sys.argv[1])), columns=["opened", "closed", "type"])
frame = pandas.merge_asof(frame.sort_values("start"), windows, left_on="start", right_on="opened")
frame.loc[frame["end"] > frame["closed"], "type"] = None
frame.to_csv(sys.argv[2], index=False)
"""

DUCKDB = """
import json, sys
import duckdb
session = duckdb.connect()
session.execute("SET threads = 1")
session.execute("CREATE TABLE windows (opened BIGINT, closed BIGINT, type VARCHAR)")
session.executemany("INSERT INTO windows VALUES (?, ?, ?)", json.load(open(sys.argv[1])))
VALUE = "STRUCT(stringValue VARCHAR, intValue VARCHAR)"
PAIRS = f"STRUCT(key VARCHAR, value {VALUE})[]"
SPAN = f'''STRUCT(traceId VARCHAR, spanId VARCHAR, parentSpanId VARCHAR, name VARCHAR, kind INTEGER,
    startTimeUnixNano BIGINT, endTimeUnixNano BIGINT, attributes {PAIRS}, status STRUCT(code INTEGER))'''
COLUMNS = f'''STRUCT(resource STRUCT(attributes {PAIRS}), scopeSpans STRUCT(spans {SPAN}[])[])[]'''
def value(of, *keys):
    found = [f"list_filter({of}, lambda a: a.key = '{key}')[1].value" for key in keys]
    return f"coalesce({', '.join(f'{f}.stringValue, {f}.intValue' for f in found)})"
session.execute(f'''COPY (
    WITH resources AS (
        SELECT unnest(resourceSpans) AS resource
        FROM read_json({sys.argv[3:]!r}, format = 'newline_delimited', maximum_object_size = 67108864,
            columns = {{resourceSpans: '{COLUMNS}'}})),
    scopes AS (
        SELECT {value("resource.resource.attributes", "service.name")} AS service,
            unnest(resource.scopeSpans) AS scope FROM resources),
    spans AS (SELECT service, unnest(scope.spans) AS span FROM scopes)
    SELECT span.startTimeUnixNano AS start, span.endTimeUnixNano AS "end", service, span.traceId,
        span.spanId, span.parentSpanId, span.name, span.kind, span.status.code,
        {value("span.attributes", "http.request.method", "http.method")} AS method,
        {value("span.attributes", "http.response.status_code", "http.status_code")} AS http_status,
        {value("span.attributes", "url.path", "http.target", "url.full", "http.url")} AS target,
        windows.type
    FROM spans LEFT JOIN windows
        ON span.startTimeUnixNano BETWEEN windows.opened AND windows.closed
) TO '{sys.argv[2]}' (HEADER)''')
"""

ORJSON = """
import sys
import orjson
for path in sys.argv[1:]:
    with open(path, "rb") as lines:
        for line in lines:
            orjson.loads(line)
"""


def measured(command, may_exit=(0,), cores=None):
    """What a command took: seconds of CPU, seconds of wall time, MB of memory."""
    pid = os.fork()
    if pid == 0:
        # A process of its own, so that the most memory is that of this command.
        try:
            if cores is not None:
                os.sched_setaffinity(0, cores)
            began = time.monotonic()
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
            wall = time.monotonic() - began
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            if done.returncode not in may_exit:
                print(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}",
                      file=sys.stderr)
                os._exit(1)
            RESULT.write_text(json.dumps({
                "cpu": used.ru_utime + used.ru_stime,
                "wall": wall,
                "mb": used.ru_maxrss * 1024 / 1e6,
            }))
            os._exit(0)
        except BaseException as error:
            print(f"{command}: {error}", file=sys.stderr)
            os._exit(1)
    if os.waitpid(pid, 0)[1]:
        sys.exit("a command that is measured went wrong")
    return json.loads(RESULT.read_text())


def windows(timeline):
    """When each window was open, and its anomaly type."""
    found, opened = [], {}
    for line in timeline.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "window_opened":
            opened[event["scenario"]] = (event["at_ns"], event["anomaly"]["type"])
        elif event["event"] == "window_closed" and event["scenario"] in opened:
            began, kind = opened.pop(event["scenario"])
            found.append((began, event["at_ns"], kind))
    return sorted(found)


def telemetry_of_a_run(loadgen, folder):
    """A run of the demo shop: its telemetry and its timeline."""
    out = folder / "run"
    scenario = REPOSITORY / "scenarios" / "default.yaml"
    command = [loadgen, "run", scenario, "--out", out, "--time-scale", "0.1", "--no-extract"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode not in (0, 7, 8):
        sys.exit(f"the run: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    telemetry = folder / "telemetry"
    size = sum(file.stat().st_size for file in out.glob("**/*.jsonl") if "timeline" not in file.name)
    multiply([file for file in out.glob("**/*.jsonl") if signal_of(file)], telemetry,
             max(1, 200_000_000 // max(1, size)))
    return telemetry, next(out.glob("**/timeline.jsonl"))


def signal_of(file):
    """Which signal a file holds, by its beginning; None: it is no telemetry."""
    with open(file, "rb") as lines:
        head = lines.read(200)
    found = re.match(rb'\s*\{"resource(Spans|Metrics|Logs)"', head)
    return found and found.group(1).decode()


def multiply(files, folder, times):
    """Writes telemetry several times, with trace ids that differ from time to time."""
    folder.mkdir(parents=True)
    for copy in range(times):
        for file in files:
            to = folder / f"{file.stem}-{copy}.jsonl"
            if copy == 0:
                shutil.copyfile(file, to)
                continue
            with open(file, "rb") as lines, open(to, "wb") as out:
                # Ids are as random behind their first eight digits as in them.
                replaced = b'"traceId":"%08x' % copy
                for line in lines:
                    out.write(re.sub(rb'"traceId":"[0-9a-f]{8}', replaced, line))


def extraction(loadgen, telemetry, timeline, options):
    """An extraction, without what it has written, which is deleted."""
    out = WORK / "dataset"
    shutil.rmtree(out, ignore_errors=True)
    return [loadgen, "extract", telemetry, "--timeline", timeline, "--out", out, *options]


def in_turns(commands, times):
    """Runs each command so many times. Gives what each took."""
    took = {name: [] for name in commands}
    for turn in range(times):
        for name, (command, options) in commands.items():
            shutil.rmtree(WORK / "dataset", ignore_errors=True)
            took[name].append(measured(command, **options))
            print(f"  {turn + 1}/{times} {name}: {took[name][-1]['cpu']:.2f} s", file=sys.stderr)
    return took


def rates(took, megabytes):
    """MB a CPU second: the median, and the worst."""
    all_rates = [megabytes / one["cpu"] for one in took]
    return statistics.median(all_rates), min(all_rates)


def plot(points, path):
    """CPU seconds and memory by size, both axes logarithmic, as SVG."""
    import math
    width, height, left, bottom = 520, 300, 60, 260
    sizes = [size for size, _ in points]
    top = max(cpu for _, cpu in points)
    low = min(cpu for _, cpu in points)
    def x(size):
        span = math.log(max(sizes) / min(sizes)) or 1
        return left + 420 * math.log(size / min(sizes)) / span
    def y(cpu):
        span = math.log(top / low) or 1
        return bottom - 220 * math.log(cpu / low) / span
    dots = "".join(f'<circle cx="{x(s):.0f}" cy="{y(c):.0f}" r="4"/>'
                   f'<text x="{x(s):.0f}" y="{y(c) - 9:.0f}" text-anchor="middle">{c:.3g} s</text>'
                   f'<text x="{x(s):.0f}" y="{bottom + 20}" text-anchor="middle">{s:,.0f} MB</text>'
                   for s, c in points)
    # What it would be if each MB took what those of the smallest take.
    line = " ".join(f"{x(s):.0f},{y(low * s / min(sizes)):.0f}" for s in sizes)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12">'
        f'<title>CPU time of an extraction by the size of its input</title>'
        f'<polyline points="{line}" fill="none" stroke="#999" stroke-dasharray="4 3"/>{dots}</svg>\n')


def main():
    global WORK, RESULT
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loadgen", type=Path, required=True)
    parser.add_argument("--examples", type=Path, help="folder of the built examples of loadgen-otlp")
    parser.add_argument("--telemetry", type=Path, help="folder of OTLP/JSON, a message a line")
    parser.add_argument("--timeline", type=Path, help="timeline.jsonl of the run, beside its ledger")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "loadgen-ci")
    parser.add_argument("--work", type=Path, help="folder for what is written on the way")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="*", default=[])
    parser.add_argument("--only", choices=["speed", "sizes"])
    parser.add_argument("--plot", type=Path, help="where the plot of sizes goes, as SVG")
    args = parser.parse_args()
    loadgen = args.loadgen.resolve()
    examples = (args.examples or loadgen.parent / "examples").resolve()
    python = environment(args.cache, "extraction-peers", sys.executable, ((), PACKAGES)) / "python"
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        WORK = Path(folder)
        RESULT = WORK / "result.json"
        if args.telemetry:
            telemetry, timeline = args.telemetry.resolve(), args.timeline.resolve()
        else:
            telemetry, timeline = telemetry_of_a_run(loadgen, WORK)
        files = sorted(telemetry.glob("*.jsonl"))
        traces = [file for file in files if signal_of(file) == "Spans"]
        mb = sum(file.stat().st_size for file in files) / 1e6
        mb_traces = sum(file.stat().st_size for file in traces) / 1e6
        print(f"{platform.processor() or platform.machine()}, {cpu_model()}, "
              f"{len(os.sched_getaffinity(0))} cores, {platform.release()}; "
              f"{mb:.0f} MB of JSON, {mb_traces:.0f} MB of them traces\n")
        if args.only != "sizes":
            speed(args, loadgen, examples, python, telemetry, timeline, files, traces, mb, mb_traces)
        if args.sizes and args.only != "speed":
            sizes(args, loadgen, timeline, files, mb)


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "an unknown processor"


def speed(args, loadgen, examples, python, telemetry, timeline, files, traces, mb, mb_traces):
    of_windows = WORK / "windows.json"
    of_windows.write_text(json.dumps(windows(timeline)))
    peer = lambda script: [python, "-c", script, of_windows, WORK / "rows.csv", *traces]
    # 7 and 8 say what the audit thinks of the dataset, which is there all the same.
    one, any_exit = {sorted(os.sched_getaffinity(0))[0]}, {"may_exit": (0, 7, 8)}
    commands = {
        "json + pandas, 12 columns": (peer(PANDAS), {}),
        "DuckDB, 12 columns": (peer(DUCKDB), {}),
        "orjson, parse only": ([python, "-c", ORJSON, *traces], {}),
        "serde_json, typed, every attribute": ([examples / "typed_parse", *traces], {}),
    }
    for name, (options, _) in MODES.items():
        commands[f"loadgen: {name}"] = (
            extraction(loadgen, telemetry, timeline, options), any_exit)
    labels = MODES["labels, evidence, files of classes"][0]
    commands["loadgen: labels, on one core"] = (
        extraction(loadgen, telemetry, timeline, labels), {**any_exit, "cores": one})
    forms = {"protobuf": WORK / "protobuf", "zstd": WORK / "zstd"}
    for folder in forms.values():
        folder.mkdir()
    for file in files:
        call(examples / "to_protobuf", file, forms["protobuf"] / f"{file.stem}.bin", quiet=True)
        pack = ("import sys, zstandard; zstandard.ZstdCompressor().copy_stream("
                "open(sys.argv[1], 'rb'), open(sys.argv[2], 'wb'))")
        call(python, "-c", pack, file, forms["zstd"] / f"{file.name}.zst", quiet=True)
    for form, folder in forms.items():
        commands[f"loadgen: labels, of {form}"] = (
            extraction(loadgen, folder, timeline, labels), any_exit)
    took = in_turns(commands, args.times)
    print("| | MB per CPU-second, median | worst | peak memory, MB | wall, s |")
    print("|---|---|---|---|---|")
    medians = {}
    for name, all_took in took.items():
        size = mb if name.startswith("loadgen") else mb_traces
        medians[name], worst = rates(all_took, size)
        memory = max(one["mb"] for one in all_took)
        wall = statistics.median(one["wall"] for one in all_took)
        print(f"| {name} | {medians[name]:.0f} | {worst:.0f} | {memory:.0f} | {wall:.2f} |")
    best = medians["loadgen: labels, evidence, files of classes"]
    wall = lambda name: statistics.median(one["wall"] for one in took[name])
    print("\n| | measured | goal |\n|---|---|---|")
    for name, (_, goal) in MODES.items():
        print(f"| {name}, MB per CPU-second | {medians[f'loadgen: {name}']:.0f} | {goal} |")
    print(f"| labels, times pandas | {best / medians['json + pandas, 12 columns']:.1f} | 10 |")
    print(f"| labels, times DuckDB | {best / medians['DuckDB, 12 columns']:.1f} | 12 |")
    typed = medians["serde_json, typed, every attribute"]
    print(f"| labels, of the typed parse | {best / typed:.2f} | 0.45 |")
    for form in forms:
        share = medians[f"loadgen: labels, of {form}"] / best
        print(f"| spans a CPU second of {form}, of those of JSON | {share:.2f} | 1 |")
    two = wall("loadgen: labels, on one core") / wall("loadgen: labels, evidence, files of classes")
    print(f"| all cores, times one | {two:.2f} | 1.7 |")


def sizes(args, loadgen, timeline, files, mb):
    print("\n| size | MB | CPU, s | MB per CPU-second | peak memory, MB |\n|---|---|---|---|---|")
    points = []
    for times in args.sizes:
        folder = WORK / f"times-{times}"
        multiply(files, folder, times)
        options = MODES["labels, evidence, files of classes"][0]
        command = extraction(loadgen, folder, timeline, options)
        took = measured(command, may_exit=(0, 7, 8))
        points.append((mb * times, took["cpu"]))
        print(f"| {times} × | {mb * times:,.0f} | {took['cpu']:.1f} | {mb * times / took['cpu']:.0f} "
              f"| {took['mb']:.0f} |", flush=True)
        shutil.rmtree(folder)
        shutil.rmtree(WORK / "dataset", ignore_errors=True)
    if args.plot:
        plot(points, args.plot)


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"FAILED: {wrong}")
