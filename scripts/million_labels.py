"""Trains `masked-loss train` on a synthetic table of a million labels, and prints its time, memory and test scores.

Each row has 32 features and 10 observed labels out of a million. A random projection reduces the features to 4 numbers;
their product with a random direction per label, with noise, determines the label. Most tables of this many labels are
similar: each label is observed a few times and shares its structure with the others. With `--keep DIR` the files stay
there.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import cargo
import checkpoint
import environment

np = environment.require("numpy", "numpy")
FEATURES, LATENT, OBSERVED = 32, 4, 10


def write(rows, labels, folder):
    """Writes X to one file, and Y to another in the CSR format of `scipy.sparse.save_npz`."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, FEATURES), dtype=np.float32)
    latent = x @ random.standard_normal((FEATURES, LATENT), dtype=np.float32) / FEATURES**0.5
    directions = random.standard_normal((labels, LATENT), dtype=np.float32)
    columns = np.sort(random.integers(labels, size=(rows, OBSERVED), dtype=np.int32), axis=1)
    kept = np.ones(columns.shape, bool)
    kept[:, 1:] = columns[:, 1:] != columns[:, :-1]
    scores = np.einsum("nl,nkl->nk", latent, directions[columns])
    values = random.random(columns.shape) < 1 / (1 + np.exp(-4 * scores))
    np.savez(folder / "x.npz", X=x)
    starts = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    arrays = {"indptr": starts, "indices": columns[kept], "data": values[kept].astype(np.int8)}
    np.savez(folder / "y.npz", format="csr".encode(), shape=[rows, labels], **arrays)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=1000)
    parser.add_argument("--unobserved", default="keep", help="move, wait or keep")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder in which the files stay")
    arguments = parser.parse_args()
    program = cargo.build("masked-loss-cli", "masked-loss")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write(arguments.rows, arguments.labels, folder)
        options = {
            "--data": folder / "y.npz",
            "--features": folder / "x.npz",
            "--hidden": arguments.hidden,
            "--epochs": arguments.epochs,
            "--batch-size": arguments.batch_size,
            "--dropout": 0,
            "--unobserved": arguments.unobserved,
            "--out": folder / "run",
        }
        began = time.monotonic()
        done = subprocess.run([program, "train", *(str(word) for pair in options.items() for word in pair)])
        if done.returncode != 0:
            sys.exit("`masked-loss train` failed (see above)")
        seconds = time.monotonic() - began
        # Linux counts in KiB.
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        metrics = json.loads((folder / "run" / "metrics.json").read_text())
        epoch = statistics.median(checkpoint.seconds(folder / "run") or [seconds])
        trained = 0.8 * arguments.rows
        print(
            f"{arguments.rows:,} rows, {arguments.labels:,} labels: {seconds:.0f} s in all, {epoch:.1f} s per epoch of "
            f"{trained:,.0f} training rows with its validation and checkpoint ({epoch / trained * 1e5:.1f} s for 100,000 "
            f"rows), {memory:.1f} GiB at most\ntest AUROC: macro {metrics['test']['macro_auroc']:.3f} over "
            f"{metrics['test']['scored_labels']:,} labels"
        )


if __name__ == "__main__":
    main()
