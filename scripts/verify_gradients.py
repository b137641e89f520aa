"""Holds the losses and gradients of this crate against PyTorch's, on random cases with missing labels.

PyTorch computes each case in float64, from the observed entries alone: nothing of it can know what stands at a missing
one. The Rust side is `examples/loss.rs`, which cargo builds first. The exit status is 1 if anything is out of bounds.
"""

import argparse
import concurrent.futures
import dataclasses
import functools
import itertools
import math
import os
import random
import re
import subprocess
import sys
import tempfile
from typing import Callable

import cargo
import environment

torch = environment.require("torch", "torch")
safetensors = environment.require("safetensors.torch", "safetensors")
# The version that goes with this PyTorch.
torchvision = environment.require("torchvision.ops", "torchvision", f"torch=={torch.__version__.partition('+')[0]}")
F = torch.nn.functional

# Errors are counted in ULP of the terms that a number is made of. A handful of operations and a sum of some hundred
# entries round to a few; a formula that is wrong or that cancels is off by thousands.
LIMIT = 8.0

DTYPES = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
PATHS = ["composed", "fused"]
REDUCTIONS = ["mean", "sum", "none"]
MISSING = [0.0, 0.3, 0.95, 1.0]
FILLERS = [torch.nan, torch.inf, -torch.inf, 1e30]


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss as PyTorch computes it, and what it may be asked."""

    entry: Callable  # (input, label, **extras) -> the loss of each entry
    draw: Callable  # (shape) -> inputs, with all that is special among them
    extras: dict = dataclasses.field(default_factory=dict)  # name -> (shape) -> a tensor, of it or one for each label
    needs_extras: bool = False  # whether they must be there
    cancels: bool = False  # whether `entry` also takes `nudge`, the relative error of a term that it subtracts from
    regression: bool = False  # whether labels are any numbers, not a mixture of two classes
    published: Callable = None  # (input, label) -> the same as others wrote it, with less care for the far tails


def logits(shape, far=100.0):
    special = torch.tensor([0.0, -0.0, 1.0, -1.0, 30.0, -30.0, far, -far, 1e4, -1e4], dtype=torch.float64)
    return sprinkle(torch.randn(shape, dtype=torch.float64) * 4, special)


def probabilities(shape):
    return sprinkle(logits(shape).sigmoid(), torch.tensor([0.0, 1.0], dtype=torch.float64))


def predictions(shape):
    special = torch.tensor([0.0, -0.0, 1.0, -1.0, 30.0, -30.0, 1e3, -1e3], dtype=torch.float64)
    return sprinkle(torch.randn(shape, dtype=torch.float64) * 4, special)


def bce(x, y, pos_weight=None):
    return F.binary_cross_entropy_with_logits(x, y, pos_weight=pos_weight, reduction="none")


def bce_probabilities(p, y):
    return F.binary_cross_entropy(p, y, reduction="none")


def pos_weight(shape):
    return 0.5 + 4 * torch.rand(shape[1])  # towards 0, PyTorch's own 1 + (w - 1)y cancels


def unbiased_bce(x, y, inverse_propensity, nudge):
    # A difference of two losses: `nudge` counts the first of them among the terms.
    seen = y * inverse_propensity
    return -seen * F.logsigmoid(x) * (1 + nudge) - (1 - seen) * F.logsigmoid(-x)


def inverse_propensity(shape):
    return 1 + 9 * torch.rand(shape[1])


def sigmoid(x):
    # The derivative of PyTorch's own is s(1 - s): no digits of it are left where s is close to 1.
    return 1 / (1 + (-x).clamp_max(700).exp())


def focal(x, y):
    # 1 - p_t, from both sigmoids: as a difference it would have no digits left where the model is right.
    wrong = y * sigmoid(-x) + (1 - y) * sigmoid(x)
    return (0.25 * y + 0.75 * (1 - y)) * wrong**2 * bce(x, y)


def asymmetric(x, y, nudge):
    # Just above the margin p - c has few digits, in any arithmetic: `nudge` counts p itself among the terms. The gradient
    # jumps at the floor, where x = -18.42068; no draw comes as close as an ULP. Of a positive it goes with p(1 - p), which
    # in f32 has no digits where p or 1 - p is subnormal, |x| from 87 to 104: drawn at 80 instead of 100.
    above = (sigmoid(x) * (1 + nudge) - 0.05).clamp_min(0)
    positive = sigmoid(-x) * F.logsigmoid(x).clamp_min(math.log(1e-8))
    return -y * positive - (1 - y) * above**4 * (1 - above).log()


def hill(x, y):
    positive = -(sigmoid(1 - x) ** 2) * F.logsigmoid(x - 1)
    # (1.5 - p)p^2 from both ends of the hill: from the far one, its slope would have no digits left.
    p, rest = sigmoid(x), sigmoid(-x)
    return y * positive + (1 - y) * torch.where(x < 0, (1.5 - p) * p**2, 0.5 - (1.5 - rest) * rest**2)


def hill_published(x, y):
    p, moved = x.sigmoid(), (x - 1).sigmoid()
    return -y * (1 - moved) ** 2 * moved.log() + (1 - y) * (1.5 - p) * p**2


def regression(entry):
    """Labels may be bounds: a prediction that keeps to its own is set to it, as chemprop does."""

    def bounded(x, y, bound=None):
        if bound is not None:
            x = torch.where(((bound < 0) & (x < y)) | ((bound > 0) & (x > y)), y, x)
        return entry(x, y, reduction="none")

    return Loss(bounded, predictions, {"bound": lambda shape: torch.randint(-1, 2, shape)}, regression=True)


LOSSES = {
    "bce": Loss(bce, logits, {"pos_weight": pos_weight}),
    "bce-probabilities": Loss(bce_probabilities, probabilities),
    "focal": Loss(focal, logits, published=functools.partial(torchvision.sigmoid_focal_loss, reduction="none")),
    "asymmetric": Loss(asymmetric, functools.partial(logits, far=80.0), cancels=True),
    "hill": Loss(hill, logits, published=hill_published),
    "huber": regression(F.huber_loss),
    "squared": regression(F.mse_loss),
    "absolute": regression(F.l1_loss),
    "unbiased-bce": Loss(
        unbiased_bce, logits, {"inverse_propensity": inverse_propensity}, needs_extras=True, cancels=True
    ),
}


@dataclasses.dataclass(frozen=True)
class Batch:
    """What one run of the program computes."""

    loss: str
    path: str
    reduction: str
    dtype: str

    def __str__(self):
        return f"{self.loss:<18} {self.path:<9} {self.reduction:<9} {self.dtype:<5}"


@dataclasses.dataclass
class Outcome:
    """The worst errors of a row of the table, in ULP, and how many missing entries have a gradient or a loss."""

    value: float = 0.0
    gradient: float = 0.0
    leaks: int = 0

    def __str__(self):
        fault = "  FAULT" if self.is_fault() else ""
        return f"{self.value:>9.3g} {self.gradient:>9.3g} {self.leaks:>6}{fault}"

    def is_fault(self):
        return self.value > LIMIT or self.gradient > LIMIT or self.leaks > 0


HEAD = f"{'loss':<18} {'path':<9} {'reduction':<9} {'dtype':<5} {'missing':>7} {'value':>9} {'gradient':>9} {'leaks':>6}"
NOT_SERVED = f"{'-':>9} {'-':>9} {'-':>6}"


def sprinkle(tensor, special):
    """Puts a special value into every fifth place or so."""
    chosen = special[torch.randint(len(special), tensor.shape)]
    return torch.where(torch.rand(tensor.shape) < 0.2, chosen, tensor)


def maybe():
    return random.random() < 0.5


def draw(batch, missing):
    """The tensors of one input file, and which entries are observed."""
    loss = LOSSES[batch.loss]
    # Beside half-precision logits the rest is float32, as in mixed-precision training.
    other = torch.float64 if batch.dtype == "f64" else torch.float32
    rows, columns = shape = random.randint(1, 24), random.randint(1, 16)
    observed = torch.rand(shape) >= missing

    def filled(tensor, filler):
        return tensor.masked_fill(~observed, filler)

    inputs = filled(loss.draw(shape), random.choice(FILLERS)).to(DTYPES[batch.dtype])
    if loss.regression:
        # Ties are where the slope jumps.
        labels = torch.where(torch.rand(shape) < 0.2, inputs, torch.randn(shape) * 4).to(other)
    else:
        labels = (torch.rand(shape) if maybe() else torch.randint(2, shape)).to(other)
    tensors = {"logits": inputs}
    if maybe():
        tensors["labels"] = filled(labels, torch.nan)
    else:
        tensors["labels"] = filled(labels, random.choice(FILLERS))
        tensors["mask"] = observed.to(random.choice([torch.bool, torch.uint8, torch.float32]))
    if maybe():
        per_entry = filled(torch.rand(shape, dtype=other), random.choice(FILLERS))
        tensors["weights"] = random.choice([per_entry, torch.rand(rows, 1), torch.rand(1, columns)]).to(other)
    if maybe():
        tensors["upstream"] = torch.randn(shape if batch.reduction == "none" else (), dtype=other)
    for name, extra in loss.extras.items():
        if loss.needs_extras or maybe():
            tensors[name] = extra(shape).to(other)
    return tensors, observed


def oracle(batch, tensors, observed):
    """Value and gradient, and the unit in which the error of each is counted: one ULP of its terms."""
    loss, dtype = LOSSES[batch.loss], DTYPES[batch.dtype]

    def picked(name):
        return tensors.get(name, torch.tensor(1.0)).double().expand(observed.shape)[observed]

    extras = {name: picked(name) for name in loss.extras if name in tensors}
    upstream = picked("upstream") / (max(int(observed.sum()), 1) if batch.reduction == "mean" else 1)

    def at(label):
        """Each entry's loss and gradient, and what these are made of."""
        x, nudge = picked("logits").requires_grad_(), torch.zeros(len(label), dtype=torch.float64, requires_grad=True)
        entries = loss.entry(x, label, **extras, **({"nudge": nudge} if loss.cancels else {})) * picked("weights")
        (gradient,) = torch.autograd.grad(entries.sum(), x, create_graph=True)
        results = entries, gradient * upstream
        return [result.detach() for result in results], [terms(result, nudge) for result in results]

    def terms(result, nudge):
        """Its size, and how far the relative error of a term that cancels moves it."""
        if not loss.cancels:
            return result.detach().abs()
        (moved,) = torch.autograd.grad(result.sum(), nudge, retain_graph=True)
        return result.detach().abs() + moved.abs()

    def unit(kind, weighed, full):
        """Of the terms as the label weighs them; and of all in full, which PyTorch itself rounds."""
        info, reference = torch.finfo(kind), torch.finfo(torch.float64)
        return info.eps * weighed.clamp_min(info.tiny) + reference.eps * full

    def spread(picked):
        return torch.zeros(observed.shape, dtype=torch.float64).masked_scatter(observed, picked)

    def reduced(entries):
        if batch.reduction == "none":
            return spread(entries)
        return entries.sum() / (max(len(entries), 1) if batch.reduction == "mean" else 1)

    y = picked("labels")
    (value, gradient), weighed = at(y)
    full = weighed
    if not loss.regression:
        _, positive = at(torch.ones_like(y))
        _, negative = at(torch.zeros_like(y))
        weighed = [y * p + (1 - y) * n for p, n in zip(positive, negative)]
        full = [p + n for p, n in zip(positive, negative)]
    computed = torch.float64 if dtype == torch.float64 else torch.float32  # sums are never taken in half precision
    return {
        "loss": (reduced(value).to(computed), reduced(unit(computed, weighed[0], full[0]))),
        "grad": (spread(gradient).to(dtype), spread(unit(dtype, weighed[1], full[1]))),
    }


def error(found, expected, unit):
    """The worst error in units; infinite where one side is NaN, or the dtype or shape is another."""
    if (found.dtype, found.shape) != (expected.dtype, expected.shape):
        return float("inf")
    found, expected = found.double(), expected.double()
    off = torch.where(found == expected, 0.0, (found - expected).abs() / unit)
    return off.nan_to_num(nan=float("inf"), posinf=float("inf")).max().item() if off.numel() else 0.0


def judge(batch, tensors, observed, answer, outcome):
    expected = oracle(batch, tensors, observed)
    outcome.value = max(outcome.value, error(answer["loss"], *expected["loss"]))
    outcome.gradient = max(outcome.gradient, error(answer["grad"], *expected["grad"]))
    outcome.leaks += int((answer["grad"][~observed] != 0).sum())
    if batch.reduction == "none":
        outcome.leaks += int((answer["loss"][~observed] != 0).sum())
    if answer["observed"].item() != observed.sum():
        outcome.value = float("inf")


def run(program, batch, cases):
    """The outcome for each share of missing labels; None for those that the path cannot serve."""
    with tempfile.TemporaryDirectory() as folder:
        files = [(f"{folder}/in{i}", f"{folder}/out{i}") for i in range(len(cases))]
        command = [program, "--loss", batch.loss, "--reduction", batch.reduction, "--path", batch.path]
        for (_, tensors, _), (source, target) in zip(cases, files):
            safetensors.save_file(tensors, source)
            command += ["--input", source, "--output", target]
        # Several run side by side.
        done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)
        if done.returncode == 3:
            return dict.fromkeys(MISSING)
        if done.returncode != 0:
            sys.exit(f"{batch}: the program failed ({done.returncode}): {done.stderr.strip()}")
        outcomes = {missing: Outcome() for missing in MISSING}
        for (missing, tensors, observed), (_, target) in zip(cases, files):
            judge(batch, tensors, observed, safetensors.load_file(target), outcomes[missing])
        return outcomes


def check_oracles():
    """Those of this script against the published ones, where these have their digits."""
    x = torch.linspace(-4, 4, 401, dtype=torch.float64, requires_grad=True)
    for name, loss in LOSSES.items():
        for label in [0.0, 0.3, 1.0] if loss.published else []:
            here, there = (entry(x, torch.full_like(x, label)) for entry in [loss.entry, loss.published])
            for pair in [(here, there), [torch.autograd.grad(entries.sum(), x)[0] for entries in [here, there]]]:
                torch.testing.assert_close(*pair, rtol=1e-12, atol=0, msg=f"{name}: this script's formula is another")


def catalogue(program):
    """The losses that the crate has, as the program's help lists them."""
    text = subprocess.run([program, "-h"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.split(r",\s+", re.search(r"--loss\b.*?\[possible\s+values:\s+(.*?)\]", text, re.DOTALL)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", choices=LOSSES, action="append", help="only this one; may be repeated")
    parser.add_argument("--cases", type=int, default=4, help="random cases for each row of the table (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="other cases (%(default)s)")
    arguments = parser.parse_args()
    program = cargo.build("loss")
    if unknown := [name for name in catalogue(program) if name not in LOSSES]:
        sys.exit(f"nothing to hold {', '.join(unknown)} against: LOSSES has no formula")
    check_oracles()
    random.seed(arguments.seed)
    torch.manual_seed(arguments.seed)
    batches = [Batch(*names) for names in itertools.product(arguments.loss or LOSSES, PATHS, REDUCTIONS, DTYPES)]
    work = [[(m, *draw(b, m)) for m in MISSING for _ in range(arguments.cases)] for b in batches]

    print(f"errors in ULP, at most {LIMIT:g}; leaks: missing entries with a loss or a gradient\n\n{HEAD}")
    shown, faults, refused = 0, 0, 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch, outcomes in zip(batches, pool.map(run, itertools.repeat(program), batches, work)):
            for missing, outcome in outcomes.items():
                print(f"{batch} {missing:>7.0%} {outcome or NOT_SERVED}", flush=True)
                shown += 1
                refused += outcome is None
                faults += outcome is not None and outcome.is_fault()
    print(f"\n{shown} rows: {faults} out of bounds, {refused} that the path cannot serve")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
