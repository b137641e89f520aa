"""Times an epoch of `masked-loss train` and of the same training in PyTorch, and prints both in seconds.

The table is an .npz with X and Y (NaN where missing), as written by `crates/cli/featurize_molecules.py`, or a synthetic
one of the size that --synthetic gives. Both sides train the same network (one hidden layer, ReLU, dropout 0.5) with Adam
on the same rows, with the same batch size and threads. After each epoch they compute loss and macro AUROC of the
validation rows and write a checkpoint. They take turns, each in a process of its own; the first epoch of each turn is
not counted.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile

import cargo
import checkpoint
import environment
import numpy as np

torch = environment.require("torch", "torch")
metrics = environment.require("sklearn.metrics", "scikit-learn")
ROUNDS = 3


def table(arguments, folder):
    if arguments.data:
        return arguments.data
    rows, features, labels = map(int, arguments.synthetic.split("x"))
    random = np.random.default_rng(0)
    x = (random.random((rows, features)) < 0.05).astype(np.uint8)
    y = (x @ random.standard_normal((features, labels)) > 0).astype(np.float32)
    y[random.random(y.shape) >= arguments.observed] = np.nan
    np.savez(f"{folder}/table.npz", X=x, Y=y)
    return f"{folder}/table.npz"


def ours(program, data, arguments, folder):
    """The seconds of each epoch but the first."""
    options = ["--epochs", arguments.epochs + 1, "--hidden", arguments.hidden, "--batch-size", arguments.batch_size]
    options += ["--threads", arguments.threads, "--device", "cpu", "--split-by", "index", "--out", folder]
    command = [program, "train", "--data", data, *map(str, options)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit("`masked-loss train` failed (see above)")
    return checkpoint.seconds(folder)


def score(network, x, y, observed):
    network.eval()
    with torch.no_grad():
        logits = network(x)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits[observed], y[observed])
    network.train()
    aurocs = []
    for label in range(y.shape[1]):
        seen = observed[:, label]
        truth = y[seen, label].numpy()
        if truth.min(initial=1) < truth.max(initial=0):
            aurocs.append(metrics.roc_auc_score(truth, logits[seen, label].numpy()))
    return loss.item(), np.mean(aurocs)


def theirs(data, arguments, folder):
    """Runs in a process of its own, see `main`."""
    import time

    torch.set_num_threads(arguments.threads)
    with np.load(data) as arrays:
        x, y = torch.from_numpy(arrays["X"]), torch.from_numpy(arrays["Y"])
    observed = ~torch.isnan(y)
    y = torch.nan_to_num(y)
    first, last = 8 * len(x) // 10, 9 * len(x) // 10
    held = x[first:last].float(), y[first:last], observed[first:last]
    network = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], arguments.hidden),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.Linear(arguments.hidden, y.shape[1]),
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    ends = []
    for _ in range(arguments.epochs + 1):
        for rows in torch.randperm(first).split(arguments.batch_size):
            mask = observed[rows].float()
            losses = torch.nn.functional.binary_cross_entropy_with_logits(
                network(x[rows].float()), y[rows], reduction="none"
            )
            optimizer.zero_grad()
            ((losses * mask).sum() / mask.sum().clamp(min=1)).backward()
            optimizer.step()
        score(network, *held)
        torch.save([network.state_dict(), optimizer.state_dict()], f"{folder}/checkpoint.pt")
        ends.append(time.monotonic())
    return list(np.diff(ends))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="an .npz with X and Y")
    parser.add_argument("--synthetic", default="8000x1024x691", metavar="ROWSxFEATURESxLABELS", help="(%(default)s)")
    parser.add_argument("--observed", type=float, default=0.01, help="share of the synthetic labels (%(default)s)")
    parser.add_argument("--hidden", type=int, default=1000, help="(%(default)s)")
    parser.add_argument("--batch-size", type=int, default=128, help="(%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="counted in each turn (%(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="(%(default)s)")
    parser.add_argument("--pytorch", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = table(arguments, folder)
        if arguments.pytorch:
            print(json.dumps(theirs(data, arguments, folder)))
            return
        program = cargo.build("masked-loss-cli", program="masked-loss")
        command = [sys.executable, __file__, "--pytorch", *sys.argv[1:], "--data", data]
        seconds = {"masked-loss train": [], "PyTorch": []}
        for _ in range(ROUNDS):
            seconds["masked-loss train"] += ours(program, data, arguments, f"{folder}/run")
            seconds["PyTorch"] += json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    for name, taken in seconds.items():
        print(f"{name}: {statistics.median(taken):.3f} s per epoch (from {min(taken):.3f} to {max(taken):.3f})")
    ratio = statistics.median(seconds["PyTorch"]) / statistics.median(seconds["masked-loss train"])
    print(f"PyTorch takes {ratio:.2f} times as long; {arguments.threads} threads")


if __name__ == "__main__":
    main()
