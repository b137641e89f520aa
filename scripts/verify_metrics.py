"""Compares the masked metrics with scikit-learn's, on random tables with missing labels and many ties.

scikit-learn sees the observed entries alone, label by label and pooled. The Rust side is `masked-loss-verify metrics`, which
cargo builds first. The exit status is 1 if any number differs by more than 1e-12, or is defined on one side only. The log
loss, whose clipping depends on the dtype, is also compared for f32 scores, to the last two places of its maximum, 16.
"""

import json
import math
import subprocess
import sys
import tempfile
import warnings

import cargo
import environment

torch = environment.require("torch", "torch")
safetensors = environment.require("safetensors.torch", "safetensors")
metrics = environment.require("sklearn.metrics", "scikit-learn")
np = environment.require("numpy", "numpy")

LIMIT, LIMIT_F32 = 1e-12, 2e-6
TABLES = 60
NAN = math.nan


def calibration_error(y, p, bins=15):
    bin = np.searchsorted(np.arange(1, bins + 1) / bins, p)
    gaps = [abs((y[bin == k] - p[bin == k]).sum()) for k in range(bins)]
    return sum(gaps) / len(y)


def at_half(metric, **options):
    return lambda y, p: metric(y, p >= 0.5, **options)


METRICS = {
    "AUROC": lambda y, p: metrics.roc_auc_score(y, p) if 0 < y.sum() < len(y) else NAN,
    "average precision": lambda y, p: metrics.average_precision_score(y, p) if y.any() else NAN,
    "precision": at_half(metrics.precision_score, zero_division=NAN),
    "recall": at_half(metrics.recall_score, zero_division=NAN),
    "F1": at_half(metrics.f1_score, zero_division=NAN),
    "accuracy": at_half(metrics.accuracy_score),
    "Brier score": lambda y, p: metrics.brier_score_loss(y, p, labels=[0, 1]),
    "log loss": lambda y, p: metrics.log_loss(y, p, labels=[0, 1]),
    "calibration error": calibration_error,
}


def table():
    rows, columns = int(torch.randint(1, 400, ())), int(torch.randint(1, 8, ()))
    # Few distinct scores, 0 and 1 among them: ties within and between the classes.
    levels = int(torch.randint(2, 50, ()))
    scores = torch.randint(levels + 1, (rows, columns)).double() / levels
    labels = (torch.rand(rows, columns) < torch.rand(columns)).double()
    missing = torch.rand(rows, columns) < torch.rand(())
    return scores.masked_fill(missing, NAN), labels.masked_fill(missing, NAN)


def answer(program, folder, scores, labels):
    safetensors.save_file({"scores": scores, "labels": labels}, f"{folder}/table")
    done = subprocess.run([program, "metrics", f"{folder}/table"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def expected(metric, scores, labels):
    def of(p, y):
        seen = ~y.isnan()
        return metric(y[seen].numpy(), p[seen].numpy()) if seen.any() else NAN

    per_label = [of(scores[:, column], labels[:, column]) for column in range(labels.shape[1])]
    defined = [number for number in per_label if not math.isnan(number)]
    mean = sum(defined) / len(defined) if defined else NAN
    return [*per_label, mean, of(scores.flatten(), labels.flatten())]


def numbers(found):
    return [*found["per label"], found["macro"], found["micro"]]


def difference(found, expected):
    if found is None or math.isnan(expected):
        return 0.0 if found is None and math.isnan(expected) else math.inf
    return abs(found - expected)


def main():
    warnings.simplefilter("ignore")  # scikit-learn's, of tables with one class
    program = cargo.build("masked-loss-verify")
    torch.manual_seed(0)
    limits = dict.fromkeys(METRICS, LIMIT) | {"log loss, f32": LIMIT_F32}
    worst, compared, undefined = dict.fromkeys(limits, 0.0), dict.fromkeys(limits, 0), dict.fromkeys(limits, 0)

    def compare(name, metric, found, scores, labels):
        for pair in zip(numbers(found), expected(metric, scores, labels), strict=True):
            worst[name] = max(worst[name], difference(*pair))
            compared[name] += pair[0] is not None
        if found["undefined"] != found["per label"].count(None):
            worst[name] = math.inf
        undefined[name] += found["undefined"]

    with tempfile.TemporaryDirectory() as folder:
        for _ in range(TABLES):
            scores, labels = table()
            found = answer(program, folder, scores, labels)
            if found.keys() != METRICS.keys():
                sys.exit(f"only one side has {', '.join(found.keys() ^ METRICS.keys())}")
            for name, metric in METRICS.items():
                compare(name, metric, found[name], scores, labels)
            found = answer(program, folder, scores.float(), labels)
            compare("log loss, f32", METRICS["log loss"], found["log loss"], scores.float(), labels)
    print(f"{'metric':<18} {'compared':>9} {'undefined':>9} {'worst difference':>17}")
    for name, limit in limits.items():
        fault = "  FAULT" if worst[name] > limit else ""
        print(f"{name:<18} {compared[name]:>9} {undefined[name]:>9} {worst[name]:>17.2g}{fault}")
    sys.exit(1 if any(worst[name] > limit for name, limit in limits.items()) else 0)


if __name__ == "__main__":
    main()
