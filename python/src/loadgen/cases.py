"""Cases: a window in which a fault was in force, with the normal time before it.

This is the unit of the benchmarks of root causes. All of them read two stretches of time, one
before an injection and one after it, and nothing of what lies between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from loadgen.errors import NoCasesError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from loadgen.dataset import Dataset

SECOND = 1_000_000_000

# The condition of the system that a row has to be of. Steady: no change is near.
STEADY_NORMAL = (pc.field("anomaly_label") == "normal") & (pc.field("phase") == "steady")
ANOMALOUS = pc.field("anomaly_label") == "anomalous"
# The name by which the generator exports its own spans, which are the roots of what it sends.
GENERATOR = "loadgen"


@dataclass(frozen=True)
class Case:
    """A window with a fault that was confirmed. Times are Unix ns."""

    run_id: str
    window: int
    scenario: str
    anomaly_type: str
    fault: str
    root_cause_service: str
    intensity: float
    verdict: str
    injected_ns: int
    """When the injection was confirmed."""
    cleared_ns: int
    """When its clearing was asked for, or where it never was, when the window closed."""
    normal_from_ns: int
    """Where the normal time begins: `normal_seconds` of it lie between here and the injection."""
    repetition: int
    """Of this fault in this service, from 1, in the order of time over all runs."""

    @property
    def name(self) -> str:
        """`<service>_<fault>_<repetition>`, without characters that a file name can't have."""
        return f"{self.service_name}_{_plain(self.fault)}_{self.repetition}"

    @property
    def service_name(self) -> str:
        """The service without underscores: what stands before the first one is the service."""
        return _plain(self.root_cause_service)


@dataclass(frozen=True)
class Skipped:
    """A window that is no case, and why."""

    run_id: str
    window: int
    scenario: str
    why: str

    def __str__(self) -> str:
        return f"{self.scenario} (window {self.window}): {self.why}"


@dataclass(frozen=True)
class Part:
    """What was observed in one part of a case, as rows of the dataset's own tables."""

    start_ns: int
    end_ns: int
    traces: pa.Table
    """Every span of the traces that began in it, in the order of time."""
    logs: pa.Table | None
    metrics: pa.Table | None
    """The data points that speak of nothing but time in it."""


def parts_of(dataset: Dataset[Any], case: Case) -> tuple[Part, Part]:
    """The normal part of a case, and the anomalous one.

    Traces belong to the part in which they began; the normal ones are over before the injection.
    What is neither of steady normal time nor of the time in which the fault was in force is in
    neither.
    """
    run = dataset.run(case.run_id) if case.run_id else dataset
    # To the whole second, since some layouts know nothing finer.
    before = case.injected_ns // SECOND * SECOND
    over = pc.field("start_time_ns") + pc.field("duration_ns") < before
    normal = _part(run, case.normal_from_ns, before, STEADY_NORMAL, STEADY_NORMAL & over)
    # The fault before may take longer to clear than this one to be injected.
    own = ANOMALOUS & (pc.field("anomaly_type") == case.anomaly_type)
    return normal, _part(run, case.injected_ns, case.cleared_ns, own, own)


def _part(
    run: Dataset[Any],
    start_ns: int,
    end_ns: int,
    condition: pc.Expression,
    of_traces: pc.Expression,
) -> Part:
    def within(column: str) -> pc.Expression:
        return (pc.field(column) >= start_ns) & (pc.field(column) < end_ns)

    ids = run.arrow("trace_labels", ["trace_id"], of_traces & within("start_time_ns"))
    wanted = pc.field("trace_id").isin(ids.column("trace_id").combine_chunks().drop_null())
    # A trace's spans begin after it, but clocks of services differ.
    near = pc.field("start_time_ns") >= start_ns - 60 * SECOND
    traces = run.arrow("traces", None, condition & near & wanted & ~pc.field("late"))
    points = (
        condition & (pc.field("interval_start_ns") >= start_ns) & (pc.field("time_ns") < end_ns)
    )
    return Part(
        start_ns=start_ns,
        end_ns=end_ns,
        traces=traces.sort_by([("start_time_ns", "ascending"), ("span_id", "ascending")]),
        logs=_sorted(run, "logs", condition & within("time_ns")),
        metrics=_sorted(run, "metrics", points),
    )


def _sorted(run: Dataset[Any], table: str, where: pc.Expression) -> pa.Table | None:
    if table not in run:
        return None
    return run.arrow(table, None, where).sort_by("time_ns")


def cases_of(
    dataset: Dataset[Any],
    *,
    verdicts: Sequence[str] | None = None,
    normal_seconds: float = 600.0,
) -> tuple[list[Case], list[Skipped]]:
    """The cases of a dataset in the order of time, and the anomalous windows that are none.

    A case has a confirmed fault in one named service, no other fault beside it, a verdict that is
    among `verdicts` (else `supported` and `weak`), and steady normal time before it. Of that time
    the `normal_seconds` that are nearest to the injection are its normal part.
    """
    verdicts = verdicts or ("supported", "weak")
    found: list[Case] = []
    skipped: list[Skipped] = []
    repetitions: dict[tuple[str, str], int] = {}
    for run_id in dataset.run_ids or ("",):
        run = dataset.run(run_id) if run_id else dataset
        windows = sorted(run.arrow("windows").to_pylist(), key=lambda row: row["opened_ns"])
        seconds = _normal_seconds(run)
        for row in windows:
            if row["anomaly_label"] != "anomalous":
                continue
            before = [s for s in seconds if (s + 1) * SECOND <= (row["fault_injected_ns"] or 0)]
            why = _why_not(row, windows, verdicts, before)
            if why:
                skipped.append(Skipped(run_id, row["window"], row["scenario"], why))
                continue
            # As they are in names, so that no two cases have one.
            key = (_plain(row["root_cause_service"]), _plain(row["fault"]))
            repetitions[key] = repetitions.get(key, 0) + 1
            found.append(
                _case(run_id, row, before[-max(1, int(normal_seconds)) :], repetitions[key])
            )
    return found, skipped


def no_cases(skipped: Sequence[Skipped]) -> NoCasesError:
    """That a dataset has no case, and why none of its windows is one."""
    reasons = [f"  {window}" for window in skipped] or ["  no window declares an anomaly"]
    return NoCasesError("The dataset has no case:\n" + "\n".join(reasons))


def _normal_seconds(run: Dataset[Any]) -> list[int]:
    """The seconds of Unix time in which traces of steady normal time began, in order."""
    labels = run.arrow("trace_labels", ["start_time_ns"], STEADY_NORMAL)
    starts = labels.column("start_time_ns").drop_null().to_pylist()
    return sorted({start // SECOND for start in starts})


def _why_not(
    row: dict[str, Any],
    windows: list[dict[str, Any]],
    verdicts: Sequence[str],
    before: list[int],
) -> str | None:
    """Why a window with an anomaly is no case; nothing if it is one."""
    if row["fault_state"] != "confirmed" or row["fault_injected_ns"] is None:
        return f"its fault is not confirmed but {row['fault_state']}"
    if not row["root_cause_service"]:
        return "its fault is in no service that is named"
    if row["verdict"] not in verdicts:
        return f"its verdict is {row['verdict']}"
    begin, end = _in_force(row)
    for other in windows:
        if other["window"] != row["window"] and other["fault_injected_ns"] is not None:
            other_begin, other_end = _in_force(other)
            if other_begin < end and begin < other_end:
                return f"the fault of {other['scenario']} is in force beside it"
    if not before:
        return "no steady normal time lies before it"
    return None


def _in_force(row: dict[str, Any]) -> tuple[int, int]:
    end = row["fault_clear_requested_ns"] or row["closed_ns"]
    return row["fault_injected_ns"], end


def _case(run_id: str, row: dict[str, Any], before: list[int], repetition: int) -> Case:
    injected, cleared = _in_force(row)
    return Case(
        run_id=run_id,
        window=row["window"],
        scenario=row["scenario"],
        anomaly_type=row["anomaly_type"],
        fault=row["fault"],
        root_cause_service=row["root_cause_service"],
        intensity=row["fault_intensity"],
        verdict=row["verdict"],
        injected_ns=injected,
        cleared_ns=cleared,
        normal_from_ns=before[0] * SECOND,
        repetition=repetition,
    )


def _plain(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in ".-") else "-" for c in name)
