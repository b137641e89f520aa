"""Compares the losses and gradients of masked-loss with PyTorch's, on random cases with missing labels.

PyTorch computes each case in float64 from the observed entries alone: it never sees the value of a missing entry, unless
a policy makes missing entries count. The Rust side is `masked-loss-verify loss`, which cargo builds first. The exit
status is 1 if anything is out of bounds.
"""

import argparse
import concurrent.futures
import dataclasses
import itertools
import os
import random
import re
import subprocess
import sys
import tempfile

import cargo
import environment
import formulas
from formulas import LOSSES, POLICIES, SETTINGS

torch = environment.require("torch", "torch")
safetensors = environment.require("safetensors.torch", "safetensors")

# Errors are counted in ULP of the terms of each number. Rounding in a few operations and a sum of some hundred entries
# gives a few ULP; a formula that is wrong or that cancels is off by thousands.
LIMIT = 8.0

ALL = {**LOSSES, **SETTINGS}

DTYPES = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
BACKENDS = ["composed", "fused"]
REDUCTIONS = ["mean", "sum", "none"]
OTHER_REDUCTIONS = ["mean-all", "mean-per-row", "mean-per-label", "weighted-mean"]
MISSING = [0.0, 0.3, 0.95, 1.0]
FILLERS = [torch.nan, torch.inf, -torch.inf, 1e30]


@dataclasses.dataclass(frozen=True)
class Batch:
    """The settings of one run of the program."""

    loss: str
    backend: str
    reduction: str
    dtype: str
    policy: str = "ignore"

    def __str__(self):
        loss = self.loss if self.policy == "ignore" else f"{self.loss}, {self.policy}"
        return f"{loss:<53} {self.backend:<9} {self.reduction:<14} {self.dtype:<5}"


def batches(losses):
    """Every loss, also with other settings; for cross entropy also the other reductions and the policies."""
    yield from itertools.starmap(Batch, itertools.product(losses, BACKENDS, REDUCTIONS, DTYPES))
    if "bce" in losses:
        yield from itertools.starmap(Batch, itertools.product(["bce"], BACKENDS, OTHER_REDUCTIONS, ["f64", "f32"]))
        policies = itertools.product(["bce"], BACKENDS, ["mean", "none"], ["f64", "f32"], POLICIES)
        yield from itertools.starmap(Batch, policies)
    settings = [text for text in SETTINGS if text.split(":")[0] in losses]
    yield from itertools.starmap(Batch, itertools.product(settings, BACKENDS, ["mean", "none"], ["f64", "f32"]))


def shares(reduction, counted, weights):
    """The share of each entry's loss in the reduced loss."""
    counts = counted.double()

    def one_over(number):
        return torch.where(number == 0, 0.0, 1 / number)

    def along(dimension):
        each = counts.sum(dimension, keepdim=True)
        return (one_over(each) * one_over((each > 0).double().sum())).expand(counts.shape)

    return {
        "mean": lambda: one_over(counts.sum()),
        "mean-all": lambda: torch.tensor(1 / counts.numel(), dtype=torch.float64),
        "mean-per-row": lambda: along(1),
        "mean-per-label": lambda: along(0),
        "weighted-mean": lambda: one_over(weights[counted].sum()),
    }.get(reduction, lambda: torch.ones((), dtype=torch.float64))().expand(counts.shape)


@dataclasses.dataclass
class Outcome:
    """The worst errors of a row of the table, in ULP, and how many missing entries have a gradient or a loss."""

    value: float = 0.0
    gradient: float = 0.0
    leaks: int = 0
    place: str = ""  # the input and the label of the worst gradient

    def __str__(self):
        fault = f"  FAULT, gradient worst {self.place}" if self.is_fault() else ""
        return f"{self.value:>9.3g} {self.gradient:>9.3g} {self.leaks:>6}{fault}"

    def is_fault(self):
        return self.value > LIMIT or self.gradient > LIMIT or self.leaks > 0


HEAD = f"{'loss':<53} {'backend':<9} {'reduction':<14} {'dtype':<5} {'missing':>7} {'value':>9} {'gradient':>9} {'leaks':>6}"
NOT_SERVED = f"{'-':>9} {'-':>9} {'-':>6}"


def maybe():
    return random.random() < 0.5


def draw(batch, missing):
    """The tensors of one input file, and which entries are observed."""
    loss = ALL[batch.loss]
    # With half-precision logits, the other tensors are float32, as in mixed-precision training.
    other = torch.float64 if batch.dtype == "f64" else torch.float32
    rows, columns = shape = random.randint(1, 24), random.randint(1, 16)
    observed = torch.rand(shape) >= missing

    def filled(tensor, filler):
        return tensor.masked_fill(~observed, filler)

    if batch.policy == "ignore":
        inputs = filled(loss.draw(shape), random.choice(FILLERS))
    else:
        inputs = formulas.far_from_subnormal(shape)
    inputs = inputs.to(DTYPES[batch.dtype])
    if loss.regression:
        # The slope jumps at ties.
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
    loss, dtype = ALL[batch.loss], DTYPES[batch.dtype]
    counted = observed if batch.policy == "ignore" else torch.ones_like(observed)

    def full_size(name):
        return tensors.get(name, torch.tensor(1.0)).double().expand(observed.shape)

    def picked(name):
        return full_size(name)[counted]

    weights = full_size("weights")
    if weights.shape == tensors.get("weights", torch.tensor(1.0)).shape:
        weights = weights.masked_fill(~observed, 1.0)  # a weight per entry is of observed ones

    def entries_of(x, label, nudge):
        known = loss.entry(x, label, **extras, **({"nudge": nudge} if loss.cancels else {}))
        if batch.policy == "ignore":
            return known
        return torch.where(observed[counted], known, POLICIES[batch.policy](x, observed.shape[1], nudge, **extras))

    extras = {name: picked(name) for name in loss.extras if name in tensors}
    share = shares(batch.reduction, counted, weights)[counted]
    upstream = picked("upstream") * share

    def at(label):
        """Each entry's loss and gradient, and their terms."""
        x, nudge = picked("logits").requires_grad_(), torch.zeros(len(label), dtype=torch.float64, requires_grad=True)
        entries = entries_of(x, label, nudge) * weights[counted]
        (gradient,) = torch.autograd.grad(entries.sum(), x, create_graph=True)
        results = entries, gradient * upstream
        return [result.detach() for result in results], [terms(result, nudge) for result in results]

    def terms(result, nudge):
        """The size of a result, and how far the relative error of a cancelling term moves it."""
        (moved,) = torch.autograd.grad(result.sum(), nudge, retain_graph=True, allow_unused=True)
        return result.detach().abs() + (0.0 if moved is None else moved.abs())

    def unit(kind, weighed, full):
        """One ULP of the terms as the label weighs them, and one in float64 of the full terms, which PyTorch rounds."""
        info, reference = torch.finfo(kind), torch.finfo(torch.float64)
        return info.eps * weighed.clamp_min(info.tiny) + reference.eps * full

    def spread(picked):
        return torch.zeros(observed.shape, dtype=torch.float64).masked_scatter(counted, picked)

    def reduced(entries):
        return spread(entries) if batch.reduction == "none" else (entries * share).sum()

    y = full_size("labels").masked_fill(~observed, 0.0)[counted]
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
    """The worst error in units; infinite if a side is NaN, or if the dtype or shape differs."""
    if (found.dtype, found.shape) != (expected.dtype, expected.shape):
        return float("inf")
    return errors(found, expected, unit).max().item() if found.numel() else 0.0


def errors(found, expected, unit):
    """The error of each number, in units."""
    found, expected = found.double(), expected.double()
    off = torch.where(found == expected, 0.0, (found - expected).abs() / unit)
    return off.nan_to_num(nan=float("inf"), posinf=float("inf"))


def judge(batch, tensors, observed, answer, outcome):
    expected = oracle(batch, tensors, observed)
    outcome.value = max(outcome.value, error(answer["loss"], *expected["loss"]))
    worst = error(answer["grad"], *expected["grad"])
    if worst > outcome.gradient:
        at = errors(answer["grad"], *expected["grad"]).argmax()
        x, y = (tensors[name].flatten()[at].item() for name in ["logits", "labels"])
        outcome.gradient, outcome.place = worst, f"at x = {x!r}, y = {y!r}"
    if batch.policy == "ignore":
        outcome.leaks += int((answer["grad"][~observed] != 0).sum())
        if batch.reduction == "none":
            outcome.leaks += int((answer["loss"][~observed] != 0).sum())
    if answer["observed"].item() != observed.sum():
        outcome.value = float("inf")


def run(program, batch, cases):
    """The outcome for each share of missing labels; None if the backend does not support it."""
    with tempfile.TemporaryDirectory() as folder:
        files = [(f"{folder}/in{i}", f"{folder}/out{i}") for i in range(len(cases))]
        command = [program, "loss", "--loss", batch.loss, "--reduction", batch.reduction, "--backend", batch.backend]
        command += ["--missing", batch.policy]
        for (_, tensors, _), (source, target) in zip(cases, files):
            safetensors.save_file(tensors, source)
            command += ["--input", source, "--output", target]
        # Several run at once.
        done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)
        if done.returncode == 3:
            return dict.fromkeys(MISSING)
        if done.returncode != 0:
            sys.exit(f"{batch}: the program failed ({done.returncode}): {done.stderr.strip()}")
        outcomes = {missing: Outcome() for missing in MISSING}
        for (missing, tensors, observed), (_, target) in zip(cases, files):
            judge(batch, tensors, observed, safetensors.load_file(target), outcomes[missing])
        return outcomes


def listed(program, option, kind="possible values"):
    """The values of an option, or the settings of losses, that the program's help lists."""
    text = subprocess.run([program, "loss", "-h"], stdout=subprocess.PIPE, text=True, check=True).stdout
    _, options = text.split("Options:")
    words = r"\s+".join(kind.split())
    return re.split(r",\s+", re.search(rf"--{option}\b.*?\[{words}:\s+(.*?)\]", options, re.DOTALL)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", choices=LOSSES, action="append", help="only this one; may be repeated")
    parser.add_argument("--cases", type=int, default=4, help="random cases for each row of the table (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random cases (%(default)s)")
    arguments = parser.parse_args()
    program = cargo.build("masked-loss-verify")
    known = {"loss": LOSSES, "missing": {"ignore", *POLICIES}, "reduction": {*REDUCTIONS, *OTHER_REDUCTIONS}}
    for option, names in known.items():
        if unknown := [name for name in listed(program, option) if name not in names]:
            sys.exit(f"--{option}: this script has no formula for {', '.join(unknown)}")
    for setting in listed(program, "loss", "settings"):
        loss, name = setting.split(":")
        texts = [text for text in SETTINGS if text.startswith(f"{loss}:") and f":{name}=" in text]
        if not texts and name not in LOSSES[loss].extras:
            sys.exit(f"--loss: this script compares no case with {setting}=..; add one to SETTINGS in formulas.py")
    formulas.check()
    random.seed(arguments.seed)
    torch.manual_seed(arguments.seed)
    plan = list(batches(arguments.loss or LOSSES))
    work = [[(m, *draw(b, m)) for m in MISSING for _ in range(arguments.cases)] for b in plan]

    print(f"errors in ULP, at most {LIMIT:g}; leaks: missing entries with a loss or a gradient\n\n{HEAD}")
    shown, faults, refused = 0, 0, 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch, outcomes in zip(plan, pool.map(run, itertools.repeat(program), plan, work)):
            for missing, outcome in outcomes.items():
                print(f"{batch} {missing:>7.0%} {outcome or NOT_SERVED}", flush=True)
                shown += 1
                refused += outcome is None
                faults += outcome is not None and outcome.is_fault()
    print(f"\n{shown} rows: {faults} out of bounds, {refused} that the backend does not support")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
