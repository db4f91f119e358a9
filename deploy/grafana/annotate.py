#!/usr/bin/env python3
"""Writes the windows and the faults of a run's timeline into Grafana, as annotations.

    GRAFANA_TOKEN=… deploy/grafana/annotate.py runs/RUN --url http://127.0.0.1:3000

The token is that of a service account with the role Editor. Each window and each fault becomes a
region, with the tags `loadgen`, `window` or `fault`, the anomaly's type, the service and the run's
id. A fault's region goes from its confirmed injection to its confirmed clearing. A run that was
written already is written again: delete its annotations first, by the tag of its id.
"""

import argparse
import json
import os
import pathlib
import sys
import urllib.error
import urllib.request


def read(run):
    """The events of the timeline; a last line that is torn is left out."""
    for line in (run / "timeline.jsonl").read_text().split("\n"):
        try:
            yield json.loads(line)
        except ValueError:
            pass


def region(begin, end, text, *tags):
    """As Grafana takes it: milliseconds. What never ended is as long as the run."""
    return {"time": begin["at_ns"] // 10**6, "timeEnd": end["at_ns"] // 10**6 + 1, "text": text,
            "tags": ["loadgen", *(tag for tag in tags if tag)]}


def regions(events):
    """A region for each window and each fault, in the order of their ends."""
    events = list(events)
    if not events:
        return
    run_id, last = events[0].get("run_id"), events[-1]
    opened, injected = {}, {}
    for event in events:
        kind, scenario = event["event"], event.get("scenario")
        if kind == "window_opened":
            opened[scenario] = event
        elif kind == "fault_injected" and not event.get("sham"):
            injected[fault_of(event)] = event
        elif kind == "window_closed" and scenario in opened:
            yield window(opened.pop(scenario), event, run_id)
        elif kind == "fault_cleared" and fault_of(event) in injected:
            yield fault(injected.pop(fault_of(event)), event, events, run_id)
    for begin in opened.values():
        yield window(begin, last, run_id)
    for begin in injected.values():
        yield fault(begin, last, events, run_id)


def fault_of(event):
    return event.get("scenario"), event["driver"], event["fault"], event["service"]


def window(begin, end, run_id):
    return region(begin, end, f"window {begin['scenario']}", "window", begin["anomaly"]["type"], run_id)


def fault(begin, end, events, run_id):
    types = [event["anomaly"]["type"] for event in events
             if event["event"] == "window_opened" and event["scenario"] == begin.get("scenario")]
    text = f"{begin['fault']} in {begin['service']}, by {begin['driver']}"
    return region(begin, end, text, "fault", types[0] if types else None, begin["service"], run_id)


def post(url, token, body):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{url.rstrip('/')}/api/annotations",
                                     data=json.dumps(body).encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=pathlib.Path, help="the folder of a run")
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="Grafana")
    parser.add_argument("--print", action="store_true", help="print the annotations, send none")
    args = parser.parse_args()
    token = os.environ.get("GRAFANA_TOKEN")
    if not args.print and not token:
        return "GRAFANA_TOKEN is not set: make a service account with the role Editor, and a token of it"
    try:
        for body in regions(read(args.run)):
            if args.print:
                print(json.dumps(body))
            else:
                post(args.url, token, body)
    except urllib.error.HTTPError as error:
        return f"{args.url} answers {error.code}: {error.read().decode(errors='replace')[:200]}"
    except OSError as error:
        return str(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
