"""The condition and the phase of the system as functions of time, from a timeline alone. The rules
are those of docs/dataset-format.md.
"""

import bisect
import json

OUTSIDE = None


class Anomaly:
    def __init__(self, of):
        self.type, label = of["type"], of.get("label")
        self.root_cause = of.get("root_cause", "")
        self.service = of.get("root_cause_service")
        # Before anomalies had symptoms those stood in the place of the label.
        old = label if label not in (None, "normal", "anomalous") else None
        self.symptom = of.get("symptom") or old
        self.all = (self.type, self.symptom, self.root_cause, self.service, of.get("msg"))


class Window:
    def __init__(self, event):
        self.scenario, self.anomaly = event["scenario"], Anomaly(event["anomaly"])
        self.opened, self.closed = event["at_ns"], None
        self.guard, self.warm_up = event.get("guard_ns", 0), event.get("warm_up", False)


class Piece:
    """A time in which nothing changes, half-open."""

    def __init__(self, begin, end, label, state, anomalies, windows):
        self.begin, self.end, self.label, self.state = begin, end, label, state
        self.anomalies = anomalies
        self.scenario = "+".join(w.scenario for w in windows)
        # Of two pieces with the same the condition is the same.
        self.condition = (label, tuple(a.all for a in anomalies))

    def columns(self):
        """anomaly_type, anomaly_label, symptom, root cause, root cause service."""
        return describe(self.label, self.anomalies)


def describe(label, anomalies):
    def joined(parts):
        return "+".join(p for p in parts if p)

    if label == "anomalous":
        return (joined(dict.fromkeys(a.type for a in anomalies)), label, joined(a.symptom for a in anomalies),
                "+".join(a.root_cause for a in anomalies), joined(a.service for a in anomalies))
    word = "none" if label == "normal" else "unknown"
    return (word, label, "", word, "")


def identity(event):
    """What a fault is known by."""
    return tuple(event.get(key, "") for key in ("scenario", "driver", "fault", "service"))


def read_events(paths):
    for path in paths:
        with open(path, "rb") as lines:
            for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict) and isinstance(event.get("at_ns"), int):
                    yield event


class Timeline:
    def __init__(self, path, faults_by_hand=()):
        self.windows, self.faults, self.failures = [], [], []
        self.stray_clears, self.noticed = [], []
        self.run_id = started = finished = last = None
        still_open = []
        for event in read_events([path]):
            kind, at = event["event"], event["at_ns"]
            last = at if last is None else max(last, at)
            if kind == "run_started" and started is None:
                self.run_id, started = event["run_id"], at
            elif kind == "run_finished":
                finished = at
            elif kind == "window_opened":
                self.windows.append(Window(event))
                still_open.append(self.windows[-1])
            elif kind == "window_closed":
                for window in still_open:
                    if window.scenario == event["scenario"]:
                        window.closed = at
                        still_open.remove(window)
                        break
            else:
                self.take_fault(event)
        for window in still_open:
            window.closed = last
        for event in read_events(faults_by_hand):
            self.take_fault(event)
        opened = [w.opened for w in self.windows]
        self.begin = min(opened + ([started] if started is not None else []))
        self.end = max(finished if finished is not None else last, self.begin + 1)
        self.pieces = self.make_pieces()
        self.starts = [p.begin for p in self.pieces]

    def take_fault(self, event):
        kind = event["event"]
        if kind == "fault_injected":
            self.faults.append({"in": event, "out": None})
        elif kind == "fault_cleared":
            same = [f for f in self.faults if f["out"] is None
                    and identity(f["in"]) == identity(event)]
            if same:
                same[0]["out"] = event
            else:
                self.stray_clears.append(event)
        elif kind == "fault_failed":
            self.failures.append(event)
        elif kind == "fault_noticed":
            self.noticed.append(event)

    def window_of(self, scenario, at):
        """The scenario's window that had opened last by then, or else its last."""
        of = [w for w in self.windows if w.scenario == scenario]
        return ([w for w in of if w.opened <= at] or of or [None])[-1]

    def given_up(self, event):
        """When a clearing was asked for that was given up."""
        for f in self.failures:
            if f["change"] == "clear" and identity(f) == identity(event):
                return f["requested_ns"]
        return None

    def in_force_until(self, fault):
        if fault["out"]:
            return fault["out"]["at_ns"]
        requested = self.given_up(fault["in"])
        return self.end if requested is None else requested

    def anomaly_of(self, injected):
        window = self.window_of(injected["scenario"], injected["at_ns"])
        if window and window.anomaly.type != "none":
            return window.anomaly
        name = injected["fault"]
        return Anomaly({"type": name, "root_cause": name,
                        "root_cause_service": injected.get("service") or None})

    def said(self):
        """All that is said of times: (begin, end, state, anomaly)."""
        for fault in self.faults:
            injected, until = fault["in"], self.in_force_until(fault)
            without = next((s for s in ("sham", "harmless") if injected.get(s)), None)
            yield (injected["at_ns"], until, without or "confirmed",
                   None if without else self.anomaly_of(injected))
            if not fault["out"] and until < self.end:
                yield until, self.end, "failed", None
        for failure in self.failures:
            if failure["change"] != "inject":
                continue
            window = self.window_of(failure["scenario"], failure["requested_ns"])
            begin = window.opened if window else failure["requested_ns"]
            closed = window.closed if window else failure["at_ns"]
            clears = [c["at_ns"] for c in self.stray_clears
                      if identity(c) == identity(failure)
                      and c["at_ns"] >= failure["at_ns"]]
            if clears:
                closed = max(closed, clears[0])
            elif self.given_up(failure) is not None:
                closed = self.end
            yield begin, closed, "failed", None
        for index, seen in enumerate(self.noticed):
            same = lambda e: all(e[k] == seen[k] for k in ("driver", "fault", "service"))
            end = self.end
            if seen["change"] == "lost":
                held = [f for f in self.faults if same(f["in"]) and f["in"]["at_ns"] <= seen["at_ns"]
                        and not (f["out"] and f["out"]["at_ns"] < seen["since_ns"])]
                end = self.in_force_until(held[-1]) if held else end
            elif seen["change"] == "appeared":
                gone = [e["at_ns"] for e in self.noticed[index:] if e["change"] == "gone" and same(e)]
                end = gone[0] if gone else end
            else:
                continue
            yield seen["since_ns"], end, "failed", None
        of_events = {f["in"]["scenario"] for f in self.faults} | {f["scenario"] for f in self.failures}
        for window in self.windows:
            if window.anomaly.type != "none" and window.scenario not in of_events:
                yield window.opened, window.closed, "declared", window.anomaly

    def make_pieces(self):
        said = [s for s in self.said() if s[0] < s[1]]
        edges = {self.begin, self.end}
        edges.update(w.opened for w in self.windows)
        edges.update(w.closed for w in self.windows)
        edges.update(s[0] for s in said)
        edges.update(s[1] for s in said)
        edges = sorted(e for e in edges if self.begin <= e <= self.end)
        return [self.piece(a, b, said) for a, b in zip(edges, edges[1:])]

    def piece(self, begin, end, said):
        now = [s for s in said if s[0] <= begin and end <= s[1]]
        windows = [w for w in self.windows if w.opened <= begin and end <= w.closed]
        states = {s[2] for s in now}
        if "failed" in states:
            return Piece(begin, end, "unknown", "failed", [], windows)
        by_key = {}
        for _, _, _, anomaly in now:
            if anomaly:
                service = anomaly.service
                key = (anomaly.type, anomaly.root_cause, service is not None, service or "")
                by_key.setdefault(key, anomaly)
        anomalies = [by_key[key] for key in sorted(by_key)]
        first = [s for s in ("declared", "confirmed", "harmless", "sham") if s in states]
        if not anomalies:
            return Piece(begin, end, "normal", first[0] if first else "none", [], windows)
        return Piece(begin, end, "anomalous", first[0], anomalies, windows)

    def at(self, moment):
        """The piece of a moment; None: it is outside of the run."""
        if moment == self.end:
            return self.pieces[-1]
        if not self.begin <= moment < self.end:
            return OUTSIDE
        return self.pieces[bisect.bisect_right(self.starts, moment) - 1]

    def over(self, begin, end):
        """(columns, piece, whether all of it has one condition) of an interval; None: most of it
        is outside of the run."""
        if begin >= end:
            piece = self.at(end)
            return piece and (piece.columns(), piece, True)
        shares, longest = {}, {}
        for piece in self.pieces[max(0, bisect.bisect_right(self.starts, begin) - 1):]:
            if piece.begin >= end:
                break
            of = min(piece.end, end) - max(piece.begin, begin)
            if of <= 0:
                continue
            shares[piece.condition] = shares.get(piece.condition, 0) + of
            if of > longest.get(piece.condition, (0, None))[0]:
                longest[piece.condition] = (of, piece)
        within, length = sum(shares.values()), end - begin
        if not shares or 2 * within < length:
            return OUTSIDE
        # Conditions are in the order in which they come: of a tie the first is taken.
        best = max(shares, key=shares.get)
        piece = longest[best][1]
        columns = piece.columns() if 2 * shares[best] >= length else describe("unknown", [])
        return columns, piece, len(shares) == 1 and within == length

    def changes(self):
        """(requested, confirmed, guard, window in which the latest that may still be under way was
        sent) of each. What is asked for within a guard after a window's edge belongs to that edge."""
        for fault in self.faults:
            window = next((w for w in self.windows if w.scenario == fault["in"]["scenario"]), None)
            for name, change in (("opened", fault["in"]), ("closed", fault["out"])):
                if change:
                    asked = sent_by = change["requested_ns"]
                    if window and 0 <= asked - getattr(window, name) <= window.guard:
                        sent_by = getattr(window, name)
                    under = next((w for w in self.windows if w.opened < sent_by <= w.closed), None)
                    yield asked, max(change["at_ns"], asked), window.guard if window else 0, under


class Phases:
    """`p99` gives the 99th percentile of the durations of what was sent in a window; the dataset's
    own has three digits, so times within 2 % of it are not decided."""

    def __init__(self, timeline, p99, recoveries):
        self.sure, self.unsure, self.recoveries = [], [], recoveries
        for window in timeline.windows:
            for edge in (window.opened, window.closed):
                self.sure.append((edge, edge + window.guard))
            if window.warm_up:
                self.sure.append((window.opened, window.closed))
        for asked, confirmed, guard, window in timeline.changes():
            lead = p99(window) if window else 0
            least, most = lead * 98 // 100, lead * 102 // 100 + 2000
            self.sure.append((asked - least, confirmed + 1))
            self.sure.append((confirmed, confirmed + guard))
            self.unsure.append((asked - most, asked - least))

    def of(self, begin, end):
        """The phase of a half-open interval; None where it can't be told so exactly."""
        meets = lambda times: any(a < end and begin < b for a, b in times)
        if meets(self.sure):
            return "transition"
        if meets(self.unsure):
            return None
        return "recovery" if meets(self.recoveries) else "steady"

    def at(self, moment):
        return self.of(moment, moment + 1)
