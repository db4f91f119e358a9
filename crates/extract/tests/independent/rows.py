"""The rows of a dataset's CSV files."""

import csv
import glob
import os

csv.field_size_limit(1 << 27)


def rows_of(dataset, name):
    """The rows of a table; none where the dataset has no such table."""
    for path in glob.glob(os.path.join(dataset, f"{name}_[0-9]*.csv")):
        with open(path, newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)


def text(cell):
    """Text as it was, without the apostrophe that protects spreadsheets."""
    return cell[1:] if cell.startswith("'") else cell
