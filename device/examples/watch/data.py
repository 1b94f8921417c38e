"""Runs on a PC: the watch recordings of seglearn as readings of a sensor.

data.py watch_dataset.npy FOLDER [WEARER]

Writes FOLDER/watch.npz, all readings with exercise, wearer and recording, and of WEARER (1) the
files that watch.py plays: minute.imu, the first 8.6 s of every exercise of the right arm, and
later.imu, the rest of these recordings.
"""

import sys
from pathlib import Path

import numpy as np

# Counts for 1 g and 1 rad/s of an MPU-6050 at +-8 g and +-2000 degrees/s.
COUNTS = np.array([4096, 4096, 4096, 939.7, 939.7, 939.7])
MINUTE = 3000 // 7 + 1  # readings of each exercise: 50 a second


def main(source: str, folder: str, wearer: str = "1") -> None:
    # The file is a pickle, as its package ships it.
    data = np.load(source, allow_pickle=True).item()
    keys = zip(data["subject"], data["y"], -data["side"], range(len(data["X"])), strict=True)
    values, labels, pieces, recordings = [], [], [], []
    for number, (subject, label, side, i) in enumerate(sorted(keys)):
        read = np.rint(np.asarray(data["X"][i]) * COUNTS)
        n = len(read)
        first = MINUTE if side < 0 else 0  # the right arm comes first
        values.append(np.clip(read, -0x8000, 0x7FFF).astype(np.int16))
        labels.append(np.full(n, label, np.uint8))
        pieces += [f"{subject}-minute"] * first
        pieces += [f"{subject}-{'later' if side < 0 else 'left'}"] * (n - first)
        recordings.append(np.full(n, number, np.int16))
    x, y, piece = np.concatenate(values), np.concatenate(labels), np.array(pieces)
    recording = np.concatenate(recordings)
    np.savez(Path(folder) / "watch.npz", x=x, y=y, piece=piece, recording=recording,
             names=np.array(data["y_labels"]))
    for name in ("minute", "later"):
        chosen = piece == f"{wearer}-{name}"
        rows = np.zeros(chosen.sum(), "6<i2, u1, u1")
        rows["f0"], rows["f1"] = x[chosen], y[chosen]
        rows["f2"] = np.diff(recording[chosen], prepend=-1) != 0
        (Path(folder) / f"{name}.imu").write_bytes(rows.tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
