"""Writes crates/core/tests/golden/losses.tsv: every loss, entry by entry, as PyTorch computes it.

Tests compare with that file without PyTorch. `--check` writes nothing, and exits with status 1 if PyTorch now computes
other numbers than those of the file.
"""

import argparse
import itertools
import math
import pathlib
import sys

import environment
from formulas import LOSSES, POLICIES, SETTINGS, Loss, logits, with_settings

torch = environment.require("torch", "torch")

FILE = pathlib.Path(__file__).resolve().parent.parent / "crates" / "core" / "tests" / "golden" / "losses.tsv"
COLUMNS = ["loss", "x", "y", "value", "value_terms", "slope", "slope_terms"]

# Numbers that f32 holds, so that one file serves both types: the middle, both sides of each bend, both tails.
MIDDLE = [0.0, 0.125, 0.5, 1.0, 1.5, 2.0, 2.75, 3.0, 4.5, 8.0]
TAILS = [16.0, 18.375, 18.5, 30.0, 40.0, 60.0, 80.0]
FAR = [100.0, 1e4]
PROBABILITIES = [0.0, 2.0**-60, 2.0**-41, 2.0**-36, 2.0**-20, 0.125, 0.375, 0.5, 0.75, 1 - 2.0**-20, 1 - 2.0**-24, 1.0]


def policy(name):
    """What a missing entry counts as, whatever the label."""
    return Loss(lambda x, y, nudge: POLICIES[name](x, 1, nudge), logits, cancels=True)


def with_parameter(name, parameter, number):
    """A loss with the same number for every label."""
    return with_settings(LOSSES[name], **{parameter: torch.tensor(number, dtype=torch.float64)})


CASES = {
    **{name: loss for name, loss in LOSSES.items() if not loss.needs_extras},
    **SETTINGS,
    "bce:pos_weight=3.5": with_parameter("bce", "pos_weight", 3.5),
    "unbiased-bce:inverse_propensity=4": with_parameter("unbiased-bce", "inverse_propensity", 4.0),
    "entropy": policy("entropy"),
    "focal-negative": policy("focal-negative"),
}


def inputs(name, loss):
    if name == "bce-probabilities":
        return PROBABILITIES
    # Where p(1 - p) is subnormal in f32, some slopes have no digits: `draw` of those losses keeps away from there.
    far = FAR if reaches(loss) else []
    return sorted({sign * x for x in [*MIDDLE, *TAILS, *far] for sign in [1.0, -1.0]})


def reaches(loss):
    return getattr(loss.draw, "keywords", {}).get("far", 100.0) >= 100.0


def labels(loss):
    return [0.0, 0.5, -7.25] if loss.regression else [0.0, 0.375, 1.0]


def rows(name, loss):
    pairs = list(itertools.product(inputs(name, loss), labels(loss)))
    x, y = torch.tensor(pairs, dtype=torch.float64).T
    results, sizes = entries(loss, x, y)
    if not loss.regression:
        # A soft label weighs the terms of both classes, which may cancel.
        (_, positive), (_, negative) = (entries(loss, x, torch.full_like(y, label)) for label in [1.0, 0.0])
        sizes = [y * p + (1 - y) * n for p, n in zip(positive, negative)]
    columns = [x, y, results[0], sizes[0], results[1], sizes[1]]
    for numbers in zip(*(column.tolist() for column in columns)):
        assert all(map(math.isfinite, numbers)), (name, numbers)
        yield [name, *map(repr, numbers)]


def entries(loss, x, y):
    """Values and slopes, and the size of the terms of each."""
    x, nudge = x.clone().requires_grad_(), torch.zeros(len(x), dtype=torch.float64, requires_grad=True)
    value = loss.entry(x, y, **({"nudge": nudge} if loss.cancels else {}))
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    return [value.detach(), slope.detach()], [terms(result, nudge) for result in [value, slope]]


def terms(result, nudge):
    """The size of a result, and how far the relative error of a cancelling term moves it."""
    moved = None
    if result.requires_grad:
        (moved,) = torch.autograd.grad(result.sum(), nudge, retain_graph=True, allow_unused=True)
    return result.detach().abs() + (0.0 if moved is None else moved.abs())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    lines = [COLUMNS, *itertools.chain.from_iterable(itertools.starmap(rows, CASES.items()))]
    if arguments.check:
        sys.exit(compare(lines))
    FILE.parent.mkdir(exist_ok=True)
    draft = FILE.with_suffix(".new")
    draft.write_text("".join("\t".join(line) + "\n" for line in lines))
    draft.replace(FILE)
    print(f"{FILE.name}: {len(lines) - 1} rows of {len(CASES)} losses")


def compare(lines):
    """A message if the file has other rows, or numbers that differ by more than a few roundings of float64."""
    held = [line.split("\t") for line in FILE.read_text().splitlines()]
    if [line[:3] for line in held] != [line[:3] for line in lines]:
        return f"{FILE.name} has other losses, inputs or labels than this script; write it again"
    for then, now in zip(held[1:], lines[1:]):
        for name, column, terms in [("value", 3, 4), ("value_terms", 4, 4), ("slope", 5, 6), ("slope_terms", 6, 6)]:
            size = max(float(now[terms]), 1e-300)
            # NaN is not close.
            if not abs(float(then[column]) - float(now[column])) <= 16 * sys.float_info.epsilon * size:
                return f"{FILE.name}: {' '.join(now[:3])}: {name} {then[column]} there, {now[column]} from PyTorch"
    print(f"{FILE.name}: {len(lines) - 1} rows, as PyTorch computes them")
    return 0


if __name__ == "__main__":
    main()
