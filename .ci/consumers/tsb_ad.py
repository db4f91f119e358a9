"""TSB-AD's way to read a series, one of its detectors and its measures on an export:
`tsb_ad.py FOLDER [DETECTOR]`.

The detectors other than SR need torch; with one that is named, all series are gone through by its
own program. Ends with 1 where a series can't be read or measured.
"""

import pathlib
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")

from TSB_AD.evaluation.metrics import get_metrics
from TSB_AD.model_wrapper import run_Unsupervise_AD
from TSB_AD.utils.slidingWindows import find_length_rank

# Measures take seconds a series.
SERIES = 3


def read(path):
    """As benchmark_exp/Run_Detector_U.py and _M.py do it."""
    df = pd.read_csv(path).dropna()
    data = df.iloc[:, 0:-1].values.astype(float)
    label = df["Label"].astype(int).to_numpy()
    train_index = path.name.split(".")[0].split("_")[-3]
    return data, label, data[: int(train_index), :]


def main():
    folder, detectors = pathlib.Path(sys.argv[1]), sys.argv[2:]
    for kind in ("U", "M"):
        index = pd.read_csv(folder / "File_List" / f"TSB-AD-{kind}-Eva.csv")
        place = folder / f"TSB-AD-{kind}"
        assert len(index), f"TSB-AD-{kind} is empty"
        for row in index.itertuples():
            data, label, train = read(place / row.file_name)
            first = int(row.file_name.split(".")[0].split("_")[-1])
            # Nothing was dropped because of gaps, and the training part is normal.
            assert len(data) == row.rows and label.sum() == row.anomalous_rows
            assert 0 < len(train) <= first and label[first] == 1 and not label[:first].any()
            assert np.isfinite(data).all()
        for detector in detectors:
            for name in index["file_name"][:SERIES]:
                subprocess.run(
                    [sys.executable, "-m", "TSB_AD.main", "--filename", name,
                     "--data_direc", f"{place}/", "--AD_Name", detector], check=True)
        print(f"TSB-AD-{kind}: {len(index)} series, {index.rows.max()} rows at most, "
              f"{index.anomalous_rows.sum() / index.rows.sum():.2f} of the rows anomalous")
    index = pd.read_csv(folder / "File_List" / "TSB-AD-U-Eva.csv")
    for name in index["file_name"][:SERIES]:
        data, label, _ = read(folder / "TSB-AD-U" / name)
        score = run_Unsupervise_AD("SR", data)
        assert isinstance(score, np.ndarray), score
        window = find_length_rank(data[:, 0].reshape(-1, 1), rank=1)
        found = get_metrics(score, label, slidingWindow=window)
        print(f"{name}: SR, VUS-PR {found['VUS-PR']:.2f}, AUC-ROC {found['AUC-ROC']:.2f}")


if __name__ == "__main__":
    main()
