"""Labels telemetry on Apache Spark: what `loadgen extract` does on one machine, on many.

    spark-submit --master URL deploy/spark/label.py --telemetry PATH… --run RUN --out DATASET \
        --loadgen target/release/loadgen

Files of any form go to `loadgen spark decode`, Spark brings together what belongs to the same traces
and series, and `loadgen spark survey`, `normals` and `rows` label it, by the code that labels on one
machine. See README.md beside this file.
"""

import argparse
import collections
import contextlib
import datetime
import functools
import gc
import itertools
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.parse

import pyarrow as pa
import pyarrow.fs
from pyspark import SparkFiles, StorageLevel
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

FRAMES = "key long, kind string, bytes binary"
CONTENTS = pa.schema([("file", pa.int64()), ("unit", pa.int64()), ("content", pa.binary())])
PIECES = pa.schema([("file", pa.int64()), ("unit", pa.int64()), ("path", pa.string()),
                    ("start", pa.int64()), ("end", pa.int64())])
STRETCHES = "task int, path string, file long, start long, end long"
TABLES = {"traces_labeled", "trace_labels", "trace_features", "logs_labeled", "metrics_labeled"}

# Plain JSON lines above this are read in pieces; files of other forms can't be cut.
LARGE_BYTES = 256 << 20
PIECE_BYTES = 16 << 20
SPLIT_BYTES = 256 << 20
# What opening a file is taken to cost, as `spark.sql.files.openCostInBytes` is by default.
OPEN_BYTES = 4 << 20

# Of a pipe between Python and the program: what an unprivileged user may have on Linux.
PIPE_BYTES = 1 << 20

# The program's memory stays with it until it ends: glibc would give large pieces of it back to the
# kernel, which has to clear them again for the next.
MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
          "MALLOC_TOP_PAD_": str(16 << 20)}

# Input that makes up a portion: a task has it on disk, and 16 MiB of it in memory at a time.
PORTION_BYTES = 256 << 20

# From so many parts on, figures are put together in Spark before they come to the driver.
MANY_PARTS = 32

# Never sent to executors: the driver alone needs them.
DRIVERS_OWN = {"ledger.arrows", "scan.bin"}


class Wrong(Exception):
    """What the job can't go on with, in words."""


# On executors.

def pipe(command, schema, batches):
    """Gives the batches that a program makes of batches: Arrow streams on its standard streams."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
                                 pipesize=PIPE_BYTES, env={**os.environ, **MEMORY})
        failed = []

        def feed():
            try:
                with child.stdin, pa.ipc.new_stream(child.stdin, schema) as stream:
                    for batch in batches:
                        stream.write_batch(batch)
            except BrokenPipeError:
                pass  # Its exit code says why.
            except Exception as error:
                failed.append(error)
                child.kill()

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        try:
            with contextlib.suppress(pa.ArrowInvalid):
                yield from pa.ipc.open_stream(child.stdout)
            feeder.join()
            code = child.wait()
        finally:
            child.kill()
            child.wait()
        if failed:
            raise failed[0]
        if code != 0:
            said.seek(0)
            words = said.read().decode(errors="replace").strip()
            raise Wrong(f"{' '.join(command[1:3])} ended with {code}: {words}")


@contextlib.contextmanager
def job_folder(files):
    """A folder with the job's files, for a task."""
    with tempfile.TemporaryDirectory(prefix="loadgen-job-") as folder:
        for name, content in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield folder


def run_step(step, job, batches, arguments=lambda first: ()):
    """Has a step done for a partition of frames, with what its first batch says of arguments."""
    first = next(batches, None)
    if first is None:
        return
    # A worker of PySpark looks for garbage after each task, for 0.15 s in all that it has imported.
    # What is there by now stays.
    gc.freeze()
    with job_folder(job.value if job else {}) as folder:
        command = [SparkFiles.get("loadgen"), "spark", step, *arguments(first)]
        if job:
            command += ["--job", folder]
        yield from pipe(command, first.schema, chained(first, batches))


def chained(first, rest):
    yield first
    yield from rest


def make_rows(job, out, batches):
    """Makes rows, and puts their files in place. A file's name and content follow from its portion, so
    that a task which is done twice writes the same file twice."""
    filesystem, root = place(out)
    for batch in run_step("rows", job, batches, lambda first: ["--part", str(first.column("key")[0])]):
        for part, kind, content in zip(*(batch.column(name) for name in ("key", "kind", "bytes"))):
            if kind.as_py() in TABLES:
                write(filesystem, f"{root}/{kind}", f"part-{part.as_py():05}.parquet", content.as_buffer())
        yield batch.filter(pa.array([kind not in TABLES for kind in batch.column("kind").to_pylist()]))


def content(file, unit, data):
    """Content under the number of its file or block, as a batch."""
    data = pa.py_buffer(data)
    offsets = pa.array([0, data.size], pa.int32()).buffers()[1]
    column = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, data])
    return pa.record_batch([pa.array([file]), pa.array([unit]), column], CONTENTS)


def units():
    """Numbers for the pieces of a block: the lines of a piece are counted from its own."""
    return itertools.count(0, 64)


def pieces_of_stretches(batches):
    """Where the program finds files as a whole, and lines of large files in pieces."""
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("path", "file", "start", "end"))
        found = []
        for path, number, start, end in zip(*columns):
            path = local(path)
            if end is None:
                found.append((number, 0, path, 0, None))
                continue
            with pa.OSFile(path) as file:
                pieces = lines_within(file, start, end)
                found += [(number, unit, path, *piece) for unit, piece in zip(units(), pieces)]
        yield pa.record_batch(list(map(list, zip(*found))) or [[]] * len(PIECES), PIECES)


def lines_within(file, start, end):
    """Where the lines that begin in a stretch of a file are, in pieces."""
    at, end = line_start(file, start), line_start(file, end)
    while at < end:
        behind = min(line_start(file, at + PIECE_BYTES), end)
        yield at, behind
        at = behind


def line_start(file, at):
    """Where the first line begins that begins at a place or after it."""
    if at == 0:
        return 0
    at -= 1
    while data := file.read_at(1 << 16, at):
        found = data.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(data)
    return file.size()


def whole_files(numbers, batches):
    """Files that Spark has read, under their numbers."""
    for batch in batches:
        for path, data in zip(batch.column(0).to_pylist(), batch.column(1)):
            yield content(numbers[plain(path)], 0, data.as_buffer())


def pieces(numbers, batches):
    """Lines of large files that Spark has read, in pieces, under the numbers of their blocks."""
    of_block = collections.defaultdict(units)
    held, held_bytes, of = [], 0, None

    def piece():
        return content(of, next(of_block[of]), b"\n".join(held) + b"\n")

    for batch in batches:
        for path, start, line in zip(*(column.to_pylist() for column in batch.columns)):
            number = numbers[plain(path)] + start // SPLIT_BYTES
            if held and (number != of or held_bytes + len(line) > PIECE_BYTES):
                yield piece()
                held, held_bytes = [], 0
            of = number
            held.append(line)
            held_bytes += len(line) + 1
    if held:
        yield piece()


def decode(contents, portions, batches):
    yield from run_step("decode", None, contents(batches), lambda _: ["--portions", str(portions)])


# On both.

def plain(path):
    """A path as one compares it: Spark writes the same one in several ways."""
    parts = urllib.parse.urlsplit(path)
    return f"{parts.scheme or 'file'}://{parts.netloc}{urllib.parse.unquote(parts.path)}"


def place(uri):
    """File system and path of the dataset."""
    if "://" not in uri and not uri.startswith("file:"):
        return pyarrow.fs.LocalFileSystem(), os.path.abspath(uri)
    return pyarrow.fs.FileSystem.from_uri(uri.replace("s3a://", "s3://", 1))


def local(path):
    """The path of a local file, whose name is taken as it is; none of any other file."""
    scheme, _, rest = path.partition(":")
    return "/" + rest.lstrip("/") if scheme == "file" else None


def write(filesystem, folder, name, content):
    filesystem.create_dir(folder, recursive=True)
    path = f"{folder}/{name}"
    # An object store shows a file when it is whole. Elsewhere a rename does.
    whole_at_once = filesystem.type_name in ("s3", "gcs", "abfs")
    target = path if whole_at_once else f"{folder}/.{name}.{os.getpid()}"
    with filesystem.open_output_stream(target) as stream:
        stream.write(content)
    if target != path:
        filesystem.move(target, path)


# On the driver.

def say(text):
    print(f"label: {text}", file=sys.stderr, flush=True)


Listed = collections.namedtuple("Listed", "path bytes")


def list_files(spark, patterns):
    """The files that paths of Hadoop stand for, in the order of their names."""
    hadoop = spark._jvm.org.apache.hadoop.fs
    configuration = spark._jsc.hadoopConfiguration()
    found = []
    for pattern in patterns:
        path = hadoop.Path(pattern)
        filesystem = path.getFileSystem(configuration)
        matches = filesystem.globStatus(path)
        if not matches:
            raise Wrong(f"no file matches {pattern}")
        for match in matches:
            files = filesystem.listStatus(match.getPath()) if match.isDirectory() else [match]
            for file in files:
                hidden = file.getPath().getName().startswith((".", "_"))
                if file.isFile() and file.getLen() and not (match.isDirectory() and hidden):
                    found.append(Listed(file.getPath().toString(), file.getLen()))
    twice = [path for path, count in collections.Counter(f.path for f in found).items() if count > 1]
    if twice:
        raise Wrong(f"{twice[0]} is given twice: its rows would be doubled")
    return sorted(found)


def is_plain_lines(path):
    return path.endswith((".json", ".jsonl"))


def read_inputs(spark, files, portions):
    """Frames of all files, and the names of files by their numbers."""
    names, whole, cut = [], {}, {}
    for file in files:
        large = file.bytes > LARGE_BYTES and is_plain_lines(file.path)
        if file.bytes >= 1 << 31 and not large:
            raise Wrong(f"{file.path} has {file.bytes >> 20} MiB: only plain JSON lines (.jsonl) can be cut, "
                        "and Spark takes 2 GiB at a time; have the Collector rotate its files")
        (cut if large else whole)[file] = len(names)
        shown = file.path.removeprefix("file://").removeprefix("file:")
        names += [shown] * (math.ceil(file.bytes / SPLIT_BYTES) if large else 1)
    # Of files that all executors see only names go through the JVM. Others Spark reads.
    if all(local(file.path) for file in files):
        contents = [(stretches(spark, whole, cut), pieces_of_stretches)]
    else:
        contents = read_by_spark(spark, whole, cut)
    frames = [rows.mapInArrow(functools.partial(decode, reader, portions), FRAMES)
              for rows, reader in contents]
    return functools.reduce(lambda a, b: a.unionAll(b), frames), names


def stretches(spark, whole, cut):
    """What is to be read, dealt into tasks as Spark deals files."""
    found = [(file.path, number, 0, None, file.bytes) for file, number in whole.items()]
    for file, number in cut.items():
        starts = range(0, file.bytes, SPLIT_BYTES)
        found += [(file.path, number + at, start, start + SPLIT_BYTES, SPLIT_BYTES)
                  for at, start in enumerate(starts)]
    cores = spark.sparkContext.defaultParallelism
    most = min(SPLIT_BYTES, max(OPEN_BYTES, sum(one[-1] + OPEN_BYTES for one in found) // cores))
    rows, task, held = [], 0, 0
    for *stretch, size in sorted(found, key=lambda one: one[-1], reverse=True):
        if held and held + size > most:
            task, held = task + 1, 0
        held += size + OPEN_BYTES
        rows.append((task, *stretch))
    return spark.createDataFrame(rows, STRETCHES).repartitionById(task + 1, F.col("task"))


def read_by_spark(spark, whole, cut):
    """Rows with what is in files, and who makes contents of them."""
    contents = []
    for files, cutter in ((whole, whole_files), (cut, pieces)):
        if not files:
            continue
        paths = [file.path for file in files]
        if cutter is whole_files:
            rows = spark.read.format("binaryFile").load(paths).select("path", "content")
        else:
            # Blocks are numbered by their places: all have the same length.
            spark.conf.set("spark.sql.files.minPartitionNum", 1)
            rows = (spark.read.option("lineSep", "\n").text(paths)
                    .select("_metadata.file_path", "_metadata.file_block_start",
                            F.col("value").cast("binary")))
        numbers = {plain(file.path): number for file, number in files.items()}
        contents.append((rows, functools.partial(cutter, numbers)))
    return contents


class Job:
    """The job's folder on the driver, and the program that works with it."""

    def __init__(self, spark, loadgen, folder):
        self.spark = spark
        self.loadgen = loadgen
        self.folder = pathlib.Path(folder)

    def take_run(self, run, others):
        for number, source in enumerate([run, *others]):
            if source is None:
                continue
            source = pathlib.Path(source)
            target = self.folder if source == run else self.folder / f"others/{number:04}"
            target.mkdir(parents=True, exist_ok=True)
            if not (source / "timeline.jsonl").is_file():
                raise Wrong(f"{source} has no timeline.jsonl: give a run's folder")
            for name in ("timeline.jsonl", "faults.jsonl", "ledger.arrows"):
                if (source / name).exists():
                    shutil.copy(source / name, target / name)

    def sent(self):
        """What executors need of the folder."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return self.spark.sparkContext.broadcast({
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in files if path.name not in DRIVERS_OWN
        })

    def call(self, step, table=None, arguments=(), codes=(0,)):
        """Has a step done on the driver; what it writes."""
        stream = pa.BufferOutputStream()
        if table is not None:
            with pa.ipc.new_stream(stream, table.schema) as out:
                out.write_table(table)
        command = [self.loadgen, "spark", step, "--job", str(self.folder), *arguments]
        done = subprocess.run(command, input=stream.getvalue(), capture_output=True)
        if done.returncode not in codes:
            raise Wrong(done.stderr.decode(errors="replace").strip())
        return done

    def requests(self, folder):
        """The requests of ledgers as frames."""
        written = self.call("requests").stdout
        table = pa.ipc.open_stream(written).read_all()
        return self.spark.createDataFrame(table, FRAMES) if table.num_rows else None

    def put_together(self, figures, step, arguments=(), codes=(0,)):
        """Hands figures of all partitions to a step."""
        parts = figures.rdd.getNumPartitions()
        if parts > MANY_PARTS:
            groups = math.isqrt(parts)
            figures = (figures.withColumn("group", F.spark_partition_id() % groups)
                       .repartitionById(groups, F.col("group")).drop("group")
                       .mapInArrow(functools.partial(run_step, "merge", None), FRAMES))
        return self.call(step, figures.toArrow(), arguments, codes)


def label(spark, args, folder):
    job = Job(spark, args.loadgen, folder)
    job.take_run(args.run, args.other_runs)
    spark.sparkContext.addFile(args.loadgen)
    if pathlib.Path(args.loadgen).name != "loadgen":
        raise Wrong(f"{args.loadgen}: the program has to be called loadgen")
    files = list_files(spark, args.telemetry)
    total = sum(file.bytes for file in files)
    portions = args.portions or max(1, math.ceil(total / PORTION_BYTES),
                                    min(2 * spark.sparkContext.defaultParallelism, total >> 20))
    frames, names = read_inputs(spark, files, portions)
    options = {"files": names, "portions": portions, "stamp": args.stamp, "strict": args.strict,
               "steady_only": args.steady_only, "include_foreign": args.include_foreign,
               "drop_leaks": args.drop_leaks}
    (job.folder / "job.json").write_text(json.dumps(options))
    if args.run:
        requests = job.requests(folder)
        frames = frames.unionAll(requests) if requests is not None else frames
    say(f"{len(files)} files, {total >> 20} MiB, {portions} portions")
    # Two steps go over it: it is kept on disk. Where that is lost, Spark makes it again.
    frames = frames.repartitionById(portions, F.col("key").cast("int"))
    frames = frames.persist(StorageLevel.DISK_ONLY)
    records = frames.where("kind <> 'scan'")

    def step(name, of):
        return of.mapInArrow(functools.partial(run_step, name, job.sent()), FRAMES)

    job.put_together(frames.where("kind = 'scan'"), "scanned")
    say("files are read")
    # With what labelling has found, of which all is not needed before the figures are put together.
    surveyed = step("survey", records).persist(StorageLevel.DISK_ONLY)
    job.put_together(surveyed.where("kind = 'survey'"), "surveyed")
    say("portions are surveyed")
    job.put_together(step("normals", surveyed.where("kind = 'candidates'")), "limits")
    surveyed.unpersist()
    rows = records.mapInArrow(functools.partial(make_rows, job.sent(), args.out), FRAMES)
    with tempfile.TemporaryDirectory() as made:
        # 7 and 8: warnings, not usable.
        done = job.put_together(rows, "finish", ["--out", made], codes=(0, 7, 8))
        filesystem, root = place(args.out)
        # The audit comes last: where there is one, the dataset is whole.
        made_files = sorted(pathlib.Path(made).iterdir(), key=lambda file: file.name.startswith("audit"))
        check_rows(filesystem, root, json.loads(made_files[-1].read_text())["files"])
        for file in made_files:
            write(filesystem, root, file.name, file.read_bytes())
    frames.unpersist()
    return done


def check_rows(filesystem, root, files):
    """Each file of rows that the audit names is there, with as many bytes as were written."""
    selector = pyarrow.fs.FileSelector(root, recursive=True, allow_not_found=True)
    there = {info.path.removeprefix(root).lstrip("/"): info.size
             for info in filesystem.get_file_info(selector) if info.is_file}
    wrong = [file["name"] for file in files
             if "/" in file["name"] and there.get(file["name"]) != file["bytes"]]
    if wrong:
        raise Wrong(f"{len(wrong)} files of rows are not there as they were written, {wrong[0]} among them")


def when(text):
    moment = datetime.datetime.fromisoformat(text)
    return moment.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--telemetry", nargs="+", required=True, metavar="PATH",
                        help="files, folders, patterns: any path of Hadoop")
    parser.add_argument("--run", type=pathlib.Path, metavar="DIR",
                        help="the run's folder on the driver: timeline.jsonl, ledger.arrows, faults.jsonl")
    parser.add_argument("--other-runs", nargs="*", default=[], type=pathlib.Path, metavar="DIR",
                        help="folders of runs whose telemetry is in the same files")
    parser.add_argument("--out", required=True, metavar="URI",
                        help="folder for the dataset, which all executors see: file, hdfs, s3, gs, abfs")
    parser.add_argument("--loadgen", required=True, metavar="FILE", help="the program; Spark sends it around")
    parser.add_argument("--portions", type=int, metavar="N",
                        help="into how many portions the input is dealt [default: one for each 256 MiB]")
    parser.add_argument("--stamp", type=when, metavar="TIME", help="time in the names of files [default: now]",
                        default=datetime.datetime.now(datetime.timezone.utc).isoformat())
    parser.add_argument("--strict", action="store_true", help="a line that can't be read is an error")
    parser.add_argument("--steady-only", action="store_true", help="only rows whose phase is steady")
    parser.add_argument("--include-foreign", action="store_true", help="keep rows that are not the run's")
    parser.add_argument("--drop-leaks", action="store_true", help="leave columns out that give the label away")
    args = parser.parse_args()
    try:
        filesystem, root = place(args.out)
        if filesystem.get_file_info(pyarrow.fs.FileSelector(root, allow_not_found=True)):
            raise Wrong(f"{args.out} is not empty: no dataset is written over")
        spark = (SparkSession.builder.appName("loadgen-label")
                 .config("spark.sql.files.maxPartitionBytes", SPLIT_BYTES)
                 .config("spark.sql.sources.parallelPartitionDiscovery.threshold", 1 << 20)
                 .config("spark.sql.execution.arrow.maxRecordsPerBatch", 256)
                 .config("spark.sql.execution.arrow.maxBytesPerBatch", PIECE_BYTES)
                 .config("spark.sql.adaptive.enabled", False)
                 # Frames are compressed where they are made.
                 .config("spark.shuffle.compress", False)
                 .config("spark.sql.inMemoryColumnarStorage.compressed", False)
                 .getOrCreate())
        with tempfile.TemporaryDirectory(prefix="loadgen-label-") as folder:
            done = label(spark, args, folder)
        print(done.stdout.decode())
        spark.stop()
        return done.returncode
    except Wrong as wrong:
        say(wrong)
        return 1


if __name__ == "__main__":
    sys.exit(main())
