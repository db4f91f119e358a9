"""The exam: what a dataset can teach, and how good a detector is on it (docs/evaluate.md).

Read `run.py` for the order of things: buckets → folds → detectors → measures → verdict, and beside
it the audit of the dataset itself. It needs NumPy and scikit-learn: `pip install './python[exam]'`
in a clone.
"""
