"""rcabench-platform's own rule, loader and analyser on exported datapacks: `datapack.py FOLDER`.

Ends with 1 where a pack is not valid, or can't be made into the standard form.
"""

import pathlib
import sys
import tempfile

from loguru import logger

logger.remove()
logger.add(sys.stderr, level="ERROR")

from rcabench_platform.v3.internal.sources.convert import convert_datapack
from rcabench_platform.v3.internal.sources.rcabench import RCABenchDatapackLoader
from rcabench_platform.v3.sdk.datasets.rcabench import RCABenchAnalyzerLoader, valid


def main():
    folder = pathlib.Path(sys.argv[1])
    packs = sorted((folder / "data" / "loadgen").iterdir())
    assert packs, "there is no pack"
    for pack in packs:
        # It leaves its finding in the folder.
        _, is_valid = valid(pack, force_refresh=True)
        why = pack / ".invalid"
        assert is_valid, f"{pack.name}: {why.read_text()}"
        with tempfile.TemporaryDirectory() as place:
            converted = pathlib.Path(place) / "converted"
            converted.mkdir()
            _, labels = convert_datapack(RCABenchDatapackLoader(pack, pack.name), converted)
            analyser = RCABenchAnalyzerLoader(pack.name, pathlib.Path(place))
            services, graph = analyser.get_all_services(), analyser.get_service_dependency_graph()
            roots = [label.name for label in labels]
            assert roots == analyser.get_root_services() and set(roots) <= set(services)
            assert "loadgenerator" not in services and graph.number_of_edges()
            metrics = analyser.get_service_metrics(roots[0], abnormal=True)
            print(f"{pack.name}: valid; {len(services)} services, {graph.number_of_edges()} calls "
                  f"between operations, {len(metrics)} golden signals of {roots[0]}")


if __name__ == "__main__":
    main()
