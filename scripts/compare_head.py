"""Times a last layer with its loss and all gradients, here and in PyTorch, and prints tables in Markdown.

Each step takes fresh rows of a table of labels in compressed rows. Rounds measure all cases in turn, on the same
numbers and with the same number of threads; each program is a process of its own. A run on an idle machine takes about
15 minutes. The exit status is 1 if results differ.
"""

import argparse
import contextlib
import dataclasses
import math
import pathlib
import sys
import tempfile

import cargo
import environment
from timing import Program, digits, in_rounds, processor, table

torch = environment.require("torch", "torch")
safetensors = environment.require("safetensors.torch", "safetensors")

BATCHES = 4  # rows of a table, in batches
POSITIVE = 0.3
CRATE = "masked-loss"
PYTORCH = "PyTorch"
OURS = ["auto", "dense", "chunked", "observed", "observed-sparse"]
OF_A_MATRIX = ["matrix-auto", "matrix-dense", "matrix-chunked"]
THEIRS = ["mask", "logits", "entries", "entries-sparse", "compile-mask", "compile-logits", "compile-entries"]
WIDE = 1024, 512, 20_000, 0.3
SWEPT = 1024, 512, 2000
PARTS = ["shapes", "memory", "sweep"]
SHARES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0]


@dataclasses.dataclass(frozen=True)
class Shape:
    rows: int
    width: int
    labels: int
    share: float

    def __str__(self):
        return f"{self.rows:,} x {self.width:,} x {self.labels:,}, {100 * self.share:g} %"


SHAPES = [
    Shape(1024, 512, 691, 0.0055),
    Shape(1024, 1024, 3000, 0.005),
    Shape(2048, 1024, 10_000, 0.002),
    Shape(1024, 512, 1_000_000, 1e-5),
    Shape(1024, 512, 12, 0.83),
    Shape(*WIDE),
]


def write(shape, file):
    generator = torch.Generator().manual_seed(0)
    rows = BATCHES * shape.rows
    # On average the given share of entries in each row, except that a label may be drawn twice.
    counts = torch.binomial(torch.full([rows], float(shape.labels)), torch.tensor(float(shape.share)), generator=generator).long()
    if shape.share < 0.1:
        drawn = torch.randint(shape.labels, [int(counts.sum())], generator=generator)
        keys = (torch.repeat_interleave(torch.arange(rows), counts) * shape.labels + drawn).unique()
    else:
        keys = (torch.rand(rows, shape.labels, generator=generator) < shape.share).flatten().nonzero().flatten()
    starts = torch.zeros(rows + 1, dtype=torch.long)
    starts[1:] = torch.bincount(keys // shape.labels, minlength=rows).cumsum(0)
    tensors = {
        "hidden": 0.1 * torch.randn(shape.rows, shape.width, generator=generator),
        "weight": 0.1 * torch.randn(shape.labels, shape.width, generator=generator),
        "bias": 0.1 * torch.randn(shape.labels, generator=generator),
        "starts": starts,
        "columns": (keys % shape.labels).int(),
        "values": (torch.rand(len(keys), generator=generator) < POSITIVE).to(torch.int8),
        "indices": torch.randperm(rows, generator=generator).reshape(BATCHES, shape.rows),
    }
    safetensors.save_file(tensors, file)


def start(setup, name, file, **environ):
    python = [sys.executable, str(pathlib.Path(__file__).with_name("pytorch_head.py"))]
    command = [setup.program, "head"] if name == CRATE else python
    return Program(name, [*command, "--threads", str(setup.threads), file], setup.threads, **environ)


def possible(shape, case):
    """Whether a case fits into memory, takes a reasonable time, and is of interest."""
    if case.startswith("matrix"):
        return shape.share > 0.1 and shape.labels > 100
    logits, entries = shape.rows * shape.labels, shape.rows * shape.labels * shape.share
    if case.removeprefix("compile-").startswith("entries"):
        return entries * shape.width < 1 << 28 and (case == "entries-sparse" or shape.labels * shape.width < 1 << 28)
    if case in ("observed", "auto"):
        return shape.labels * shape.width < 1 << 28 and entries * shape.width < 1 << 31
    return case == "observed-sparse" or logits < 1 << 28


def measure(setup, shape, cases, file):
    keys = [(name, case) for name, case in cases if possible(shape, case)]
    with contextlib.ExitStack() as stack:
        programs = {name: stack.enter_context(start(setup, name, file)) for name in dict.fromkeys(n for n, _ in keys)}
        keys = agree(shape, programs, keys)
        seconds = in_rounds(programs, keys, setup.rounds, setup.seconds)
    return seconds


def agree(shape, programs, keys):
    """The cases that no program refuses; exits unless all give the same numbers."""
    first, served = None, []
    for name, case in keys:
        reply = programs[name].ask(f"check {case}")
        if isinstance(reply, str):
            print(f"{shape}: {case} of {name} is not measured ({reply})", file=sys.stderr)
            continue
        first = first or reply
        if not all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(reply, first)):
            sys.exit(f"{shape}: results are {reply} by `{case}` of {name}, {first} by `{served[0]}`")
        served.append((name, case))
    return served


def memory(setup, shape, cases, file):
    """With a fixed threshold, large blocks return to the system at once, so that the peak shows all memory of a step."""
    taken = {}
    for name, case in cases:
        with start(setup, name, file, MALLOC_MMAP_THRESHOLD_=str(1 << 16)) as program:
            taken[name, case] = program.ask(f"memory {case}")
    return taken


def cells(outcome, keys, ours):
    for key in keys:
        if key not in outcome:
            yield "-"
        elif key[0] == CRATE:
            yield f"{digits(1e3 * outcome[key], 3)} ms"
        else:
            yield f"{digits(1e3 * outcome[key], 3)} ms, {digits(outcome[key] / ours, 2)}x"


def shapes_table(outcomes, keys, title):
    """Times; those of PyTorch also as multiples of the shortest time of this crate."""
    rows = [["N x D x C, observed", *(f"{name}: {case}" for name, case in keys)]]
    for shape, outcome in outcomes.items():
        ours = min(seconds for (name, _), seconds in outcome.items() if name == CRATE)
        rows.append([title(shape), *cells(outcome, keys, ours)])
    return table(rows)


def draw(sweep, file):
    """Time against observed entries."""
    pyplot = environment.require("matplotlib.pyplot", "matplotlib")
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for key in dict.fromkeys(key for outcome in sweep.values() for key in outcome):
        points = [(s.rows * s.labels * s.share, 1e3 * o[key]) for s, o in sweep.items() if key in o]
        style = "o-" if key[0] == CRATE else "x--"
        axes.plot(*zip(*points), style, markersize=4, label=f"{key[0]}: {key[1]}")
    axes.set(xscale="log", yscale="log", xlabel="observed entries in a batch", ylabel="ms per step")
    axes.set_title("{:,} rows, {:,} hidden units, {:,} labels".format(*SWEPT), fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file, metadata={"Date": None})


@dataclasses.dataclass(frozen=True)
class Setup:
    program: str
    threads: int
    rounds: int
    seconds: float


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="(default: %(default)s)")
    parser.add_argument("--plot", type=pathlib.Path, help="the file for a picture of the sweep, such as head.svg")
    parser.add_argument("--program", help="a `masked-loss-verify` to run instead of building one with cargo")
    parser.add_argument("--quick", action="store_true", help="few repetitions, nothing compiled: a trial run")
    arguments = parser.parse_args()
    theirs = [case for case in THEIRS if not (arguments.quick and case.startswith("compile"))]
    keys = [*((CRATE, case) for case in OURS + OF_A_MATRIX), *((PYTORCH, case) for case in theirs)]
    rounds, seconds = (1, 0.05) if arguments.quick else (3, 0.4)
    program = arguments.program or cargo.build("masked-loss-verify")
    setup = Setup(program, arguments.threads, rounds, seconds)
    print(f"{processor()}, {setup.threads} threads, PyTorch {torch.__version__}")
    outcomes, bytes_of, sweep = {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/batches.safetensors"
        for shape in SHAPES if {"shapes", "memory"} & set(arguments.parts) else []:
            print(shape, file=sys.stderr)
            write(shape, file)
            if "shapes" in arguments.parts:
                outcomes[shape] = measure(setup, shape, keys, file)
            if "memory" in arguments.parts:
                bytes_of[shape] = memory(setup, shape, [key for key in keys if possible(shape, key[1])], file)
        for share in SHARES if "sweep" in arguments.parts else []:
            shape = Shape(*SWEPT, share)
            print(shape, file=sys.stderr)
            write(shape, file)
            sweep[shape] = measure(setup, shape, [key for key in keys if "compile" not in key[1] and key[1] not in OF_A_MATRIX], file)
    if outcomes:
        print("\nTime of a step: medians; for PyTorch also as a multiple of the shortest time here.\n")
        print(shapes_table(outcomes, keys, str))
    if bytes_of:
        print("\nIncrease of peak resident memory by a step.\n")
        rows = [["N x D x C, observed", *(f"{name}: {case}" for name, case in keys)]]
        for shape, taken in bytes_of.items():
            shown = [f"{taken[key] / 1e6:.0f} MB" if isinstance(taken.get(key), int) else "-" for key in keys]
            rows.append([str(shape), *shown])
        print(table(rows))
    if sweep:
        print("\nTime of a step by share of observed entries, for {:,} x {:,} x {:,}.\n".format(*SWEPT))
        swept = [key for key in keys if "compile" not in key[1] and key[1] not in OF_A_MATRIX]
        print(shapes_table(sweep, swept, lambda shape: f"{100 * shape.share:g} %"))
        if arguments.plot:
            draw(sweep, arguments.plot)


if __name__ == "__main__":
    main()
