"""TADBench's own programs on an export: `tadbench.py CLONE FOLDER`.

Preprocessing of CRISP and of TraceAnomaly, each in a copy of its folder, since they write beside
themselves; both need nothing but what is here (`ujson` is what CRISP calls `json`). Ends with 1
where a trace is lost on the way.
"""

import pathlib
import pickle
import shutil
import subprocess
import sys
import tempfile


def main():
    clone, folder = (pathlib.Path(part).resolve() for part in sys.argv[1:])
    with tempfile.TemporaryDirectory() as place:
        for program in ("CRISP", "TraceAnomaly"):
            copy = pathlib.Path(place) / program
            shutil.copytree(clone / program, copy)
            (copy / "data").mkdir(exist_ok=True)
            (copy / "ujson.py").write_text("from json import *\n")
            steps = {
                "CRISP": "from data_to_SCPV import crisp_preprocess as run",
                "TraceAnomaly": "from data_to_STV import traceanomaly_preprocess as run",
            }
            call = f"{steps[program]}; run('loadgen', {str(folder)!r})"
            subprocess.run([sys.executable, "-c", call], cwd=copy, check=True,
                           stdout=subprocess.DEVNULL)
            vectors = sorted((copy / "data").rglob("*"))
            for name in ("train_normal", "test_normal", "abnormal"):
                made = [path for path in vectors if path.is_file()
                        and path.stem == name and path.suffix != ".json"]
                lines = [line for path in made for line in path.read_text().splitlines() if line]
                print(f"{program}: {name}: {len(lines)} vectors")
                assert lines, f"{program} makes nothing of {name}"
    for path in sorted(folder.glob("*.pkl")):
        sys.path.insert(0, str(clone))
        print(f"{path.name}: {len(pickle.loads(path.read_bytes()))} traces")


if __name__ == "__main__":
    main()
