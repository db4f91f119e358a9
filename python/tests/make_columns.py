"""The dictionary of columns that the package carries, from docs/dataset-format.md.

python tests/make_columns.py > src/loadgen/columns.json
"""

from __future__ import annotations

import json
import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs/dataset-format.md"


def from_docs(text: str) -> dict[str, list[dict[str, str]]]:
    """Table → columns."""
    found: dict[str, list[dict[str, str]]] = {}
    part = re.compile(r"<!-- columns of (\w+) -->\n(.*?)<!-- end of columns -->", re.DOTALL)
    for table, lines in part.findall(text):
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines.splitlines()[2:]]
        found[table] = [
            {"name": name.strip("`"), "type": type_, "unit": "", "meaning": meaning, "null": null}
            for name, type_, meaning, null in rows
        ]
    return found


if __name__ == "__main__":
    print(json.dumps(from_docs(DOCS.read_text(encoding="utf-8")), indent=1, ensure_ascii=False))
