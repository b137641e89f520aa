"""Compares the losses that couple several entries with PyTorch, like verify_gradients.py for the others.

PyTorch computes each case in float64: softmax cross entropy with its own function over the observed rows alone, the two
others one label after another. The Rust side is `masked-loss-verify set-loss`, which cargo builds first. The exit status
is 1 if anything is out of bounds.
"""

import argparse
import dataclasses
import itertools
import random
import subprocess
import sys
import tempfile
from typing import Callable

import cargo
import environment
from formulas import logits, sigmoid
from verify_gradients import DTYPES, FILLERS, LIMIT, MISSING, Outcome, error, maybe

torch = environment.require("torch", "torch")
safetensors = environment.require("safetensors.torch", "safetensors")
F = torch.nn.functional


@dataclasses.dataclass(frozen=True)
class Loss:
    draw: Callable  # (shape, share missing, dtype) -> logits, and the other tensors but `upstream`
    oracle: Callable  # (logits, tensors, reduction) -> value, gradient for an upstream of 1s, and the terms of both
    across: int = 0  # the dimension of the logits over which one value extends
    reductions: tuple = ("mean", "sum", "none")
    missing: list = dataclasses.field(default_factory=lambda: MISSING)


def number(value):
    return torch.tensor(float(value), dtype=torch.float64)


def moderate_logits(shape):
    return logits(shape).clamp(-80, 80)  # from 87 on, p or 1 - p is subnormal in f32


def scatter(rows, among):
    """The observed rows in their places, and zeros elsewhere."""
    full = torch.zeros(len(among), *rows.shape[1:], dtype=rows.dtype)
    full[among] = rows
    return full


def draw_softmax(shape, missing, dtype):
    rows, classes = shape
    observed = torch.rand(rows) >= missing
    x = logits(shape).masked_fill(~observed[:, None], random.choice(FILLERS)).to(dtype)
    labels = torch.randint(classes, (rows,)).double().masked_fill(~observed, torch.nan)
    settings = {"label_smoothing": number(random.choice([0, 0.125, 1]))}
    if maybe():
        settings["weight"] = 0.25 + torch.rand(classes)
    return x, {"labels": labels, **settings}


def softmax(x, tensors, reduction):
    observed = ~tensors["labels"].isnan()
    x, y = x[observed].requires_grad_(), tensors["labels"][observed].long()
    smoothing, classes = tensors["label_smoothing"].item(), x.shape[1]
    weight = tensors.get("weight", torch.ones(classes)).double()
    # PyTorch's own mean over no rows is NaN.
    by = "sum" if reduction == "mean" and len(y) == 0 else reduction
    value = F.cross_entropy(x, y, weight=weight, label_smoothing=smoothing, reduction=by)
    (gradient,) = torch.autograd.grad(value.sum(), x)

    # ln p is a difference in which one side may be 1 ULP of 1; p is computed from it.
    ln_p = x.detach().log_softmax(-1)
    share = (1 - smoothing) * F.one_hot(y, classes) * weight + smoothing / classes * weight
    terms = (share * (1 - ln_p)).sum(-1)
    slopes = share + share.sum(-1, keepdim=True) * ln_p.exp() * (1 - ln_p)
    total = weight[y].sum() if by == "mean" else 1
    terms = scatter(terms, observed) if by == "none" else terms.sum() / total
    value = scatter(value.detach(), observed) if by == "none" else value.detach()
    return value, scatter(gradient, observed), terms, scatter(slopes / total, observed)


def draw_nnpu(shape, missing, dtype):
    """Positive and unlabelled entries, without labels so close to the bound that rounding decides their side."""
    while True:
        x = moderate_logits(shape).to(dtype)
        positive = torch.rand(shape) >= missing
        settings = {
            "prior": torch.rand(shape[1]),
            "beta": number(random.choice([0, 0.125])),
            "gamma": number(random.choice([1, 0.5])),
        }
        tensors = {"labels": torch.where(positive, 1.0, torch.nan), **settings}
        beta = settings["beta"]
        risks = [of_label(*label) for label in zip(x.double().T, positive.T, settings["prior"].double())]
        if all(abs(minus + beta) >= 1e-4 * (terms + beta) for _, minus, terms in risks):
            return x, tensors


def of_label(x, positive, prior):
    """The positive and the negative risk, and the terms of the difference in the latter."""

    def mean(numbers):
        return numbers.mean() if len(numbers) else numbers.sum()

    unlabelled, known = mean(sigmoid(x[~positive])), prior * mean(sigmoid(x[positive]))
    return prior * mean(sigmoid(-x[positive])), unlabelled - known, unlabelled + known


def nnpu(x, tensors, reduction):
    beta, gamma = tensors["beta"], tensors["gamma"]
    values, slopes, terms = [], [], []
    for x, positive, prior in zip(x.T, (tensors["labels"] == 1).T, tensors["prior"].double()):
        x = x.clone().requires_grad_()
        plus, minus, parts = of_label(x, positive, prior)
        bounded = minus < -beta
        slopes += torch.autograd.grad(-gamma * minus if bounded else plus + minus, x)
        values.append((plus - beta if bounded else plus + minus).detach())
        terms.append((plus + parts + beta).detach())
    values, slopes, terms = torch.stack(values), torch.stack(slopes, 1), torch.stack(terms)
    if reduction == "none":
        return values, slopes, terms, slopes.abs()
    count = len(values) if reduction == "mean" else 1
    return values.sum() / count, slopes / count, terms.sum() / count, slopes.abs() / count


def draw_expected_positives(shape, _, dtype):
    return moderate_logits(shape).to(dtype), {"k": number(random.uniform(0, shape[1]))}


def expected_positives(x, tensors, _):
    x, k = x.clone().requires_grad_(), tensors["k"]
    rows, columns = x.shape
    mean = sigmoid(x).sum() / rows
    value = ((mean - k) / columns) ** 2
    (gradient,) = torch.autograd.grad(value, x, retain_graph=True)
    (spread,) = torch.autograd.grad(mean, x)
    # A difference, squared.
    off, size = (mean - k).detach().abs(), (mean + k).detach()
    return value.detach(), gradient, 2 * off * size / columns**2, 2 * size * spread / columns**2


LOSSES = {
    "softmax": Loss(draw_softmax, softmax, across=1),
    "nnpu": Loss(draw_nnpu, nnpu),
    "expected-positives": Loss(draw_expected_positives, expected_positives, reductions=("mean",), missing=[0.0]),
}

HEAD = f"{'loss':<18} {'reduction':<9} {'dtype':<5} {'missing':>7} {'value':>9} {'gradient':>9} {'leaks':>6}"


def draw(loss, reduction, dtype, missing):
    shape = random.randint(1, 24), random.randint(1, 16)
    x, tensors = loss.draw(shape, missing, dtype)
    size = shape[1 - loss.across] if reduction == "none" else ()
    return {"logits": x, "upstream": torch.randn(size, dtype=torch.float64).float(), **tensors}


def judge(loss, reduction, tensors, answer, outcome):
    value, gradient, terms, slopes = loss.oracle(tensors["logits"].double(), tensors, reduction)
    upstream = tensors["upstream"].double()
    if reduction == "none":
        upstream = upstream.unsqueeze(loss.across)
    dtype = tensors["logits"].dtype
    computed = torch.float64 if dtype == torch.float64 else torch.float32  # sums are never taken in half precision

    def in_ulp(found, kind, expected, terms):
        info = torch.finfo(kind)
        return error(found, expected.to(kind), info.eps * terms.clamp_min(info.tiny))

    outcome.value = max(outcome.value, in_ulp(answer["loss"], computed, value, terms))
    slopes = slopes * upstream.abs()
    outcome.gradient = max(outcome.gradient, in_ulp(answer["grad"], dtype, gradient * upstream, slopes))
    if loss.oracle is softmax:  # the others count missing entries
        missing = tensors["labels"].isnan()
        outcome.leaks += int((answer["grad"][missing] != 0).sum())
        outcome.leaks += int((answer["loss"][missing] != 0).sum()) if reduction == "none" else 0


def run(program, name, reduction, cases):
    with tempfile.TemporaryDirectory() as folder:
        files = [(f"{folder}/in{i}", f"{folder}/out{i}") for i in range(len(cases))]
        command = [program, "set-loss", "--loss", name, "--reduction", reduction]
        for tensors, (source, target) in zip(cases, files):
            safetensors.save_file(tensors, source)
            command += ["--input", source, "--output", target]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{name}, {reduction}: the program failed ({done.returncode}): {done.stderr.strip()}")
        return [safetensors.load_file(target) for _, target in files]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=8, help="random cases for each row of the table (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random cases (%(default)s)")
    arguments = parser.parse_args()
    program = cargo.build("masked-loss-verify")
    random.seed(arguments.seed)
    torch.manual_seed(arguments.seed)

    print(f"errors in ULP, at most {LIMIT:g}; leaks: missing rows with a loss or a gradient\n\n{HEAD}")
    shown, faults = 0, 0
    for name, loss in LOSSES.items():
        for reduction, dtype in itertools.product(loss.reductions, DTYPES):
            cases = [draw(loss, reduction, DTYPES[dtype], m) for m in loss.missing for _ in range(arguments.cases)]
            answers = run(program, name, reduction, cases)
            for i, missing in enumerate(loss.missing):
                outcome, part = Outcome(), slice(i * arguments.cases, (i + 1) * arguments.cases)
                for tensors, answer in zip(cases[part], answers[part]):
                    judge(loss, reduction, tensors, answer, outcome)
                print(f"{name:<18} {reduction:<9} {dtype:<5} {missing:>7.0%} {outcome}", flush=True)
                shown += 1
                faults += outcome.is_fault()
    print(f"\n{shown} rows: {faults} out of bounds")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
