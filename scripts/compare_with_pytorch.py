"""Times masked losses with their gradients, here and in PyTorch, and prints tables in Markdown.

Rounds measure all cases in turn, on the same logits and labels (30 % observed) and with the same number of threads.
Each implementation is a process of its own: `masked-loss-verify step`, which cargo builds first, for this crate, and
`scripts/pytorch_step.py`. A run on an idle machine takes about ten minutes. The exit status is 1 if results
differ.
"""

import argparse
import collections
import contextlib
import dataclasses
import math
import pathlib
import sys
import tempfile

import cargo
import environment
from tables import BATCHES, CONSTRUCTORS, CRATE, FORMS, GENERAL, LEGENDS, LIMITS, RAW, REDUCTIONS, ROWS, TABLES, WEIGHT, reduction_columns
from timing import Program, digits, in_rounds, processor, table

torch = environment.require("torch", "torch")
safetensors = environment.require("safetensors.torch", "safetensors")

SIZES = {"64x12": (64, 12), "256x1000": (256, 1000), "256x20000": (256, 20_000), "1024x20000": (1024, 20_000)}
DEFAULT_SIZES = ["64x12", "256x1000", "1024x20000"]
PARTS = ["raw", "rows", "reductions", "constructors"]
LOSSES = ["bce", "bce-probabilities", "focal", "asymmetric"]
BUILT_IN = LOSSES[:2]  # PyTorch's own functions, which take a weight
OBSERVED = 0.3
LARGE = 1 << 20  # entries; fewer fit into the caches, and memory sets no limit
UNCHECKED = "kernel", "bandwidth-9", "bandwidth-13"  # cases without a gradient to compare


@dataclasses.dataclass(frozen=True)
class Setup:
    """The settings that all cases share."""

    program: str  # masked-loss-verify
    threads: int
    device: str
    rounds: int
    seconds: float  # of each case in each round


def start(setup, name, loss, file, **environ):
    python = [sys.executable, str(pathlib.Path(__file__).with_name("pytorch_step.py")), "--form", FORMS.get(name)]
    command = [setup.program, "step"] if name == CRATE else python
    command += ["--loss", loss, "--threads", str(setup.threads), "--device", setup.device, file]
    return Program(name, command, setup.threads, **environ)


@dataclasses.dataclass
class Outcome:
    """The results of one loss at one size, by program and case, without the cases that could not be measured."""

    seconds: dict
    bytes: dict
    refused: dict  # program -> why

    def cell(self, column):
        if column.key not in self.seconds:
            return "-"
        seconds = self.seconds[column.key]
        shown = [f"{digits(1e3 * seconds, 3)} ms"]
        if column.unit:
            shown.append(f"{digits(seconds / self.seconds[CRATE, column.unit], 2)}x")
        if column.memory and self.bytes.get(column.key) is not None:
            shown.append(f"{self.bytes[column.key] / 1e6:.0f} MB")
        return ", ".join(shown)


def write(size, file):
    torch.manual_seed(0)
    rows, columns = BATCHES * size[0], size[1]
    labels = torch.rand(rows, columns).round()
    labels[torch.rand(rows, columns) >= OBSERVED] = torch.nan
    weights = {"row_weights": torch.rand(rows) + 0.5, "label_weights": torch.rand(columns) + 0.5}
    indices = torch.randperm(rows).reshape(BATCHES, size[0])
    safetensors.save_file({"logits": torch.randn(size), "labels": labels, "indices": indices, **weights}, file)


def measure(setup, loss, size, columns, file):
    resident = math.prod(size) >= LARGE and setup.device == "cpu"
    with contextlib.ExitStack() as stack:
        names = dict.fromkeys(column.program for column in columns)
        programs = {name: stack.enter_context(start(setup, name, loss, file)) for name in names}
        refused = agree(loss, programs, columns)
        keys = dict.fromkeys(c.key for c in columns if c.program not in refused)
        seconds = in_rounds(programs, keys, setup.rounds, setup.seconds)
    # With a fixed threshold, large blocks return to the system at once, so that the peak shows all memory of a step.
    taken = {}
    for name, case in dict.fromkeys(c.key for c in columns if resident and c.memory and c.key in seconds):
        with start(setup, name, loss, file, MALLOC_MMAP_THRESHOLD_=str(1 << 16)) as program:
            taken[name, case] = program.ask(f"memory {case}")
    return Outcome(seconds, taken, refused)


def agree(loss, programs, columns):
    """Which programs refuse, and why; exits unless cases with the same result give the same numbers."""
    replies, refused = {}, {}
    for name, case in dict.fromkeys(column.key for column in columns if column.case not in UNCHECKED):
        reply = programs[name].ask(f"check {case}")
        if isinstance(reply, str):
            refused[name] = reply
            continue
        first = replies.setdefault(result(case), (reply, f"`{case}` of {name}"))
        if not all(map(close, reply, first[0])):
            sys.exit(f"{loss}: results are {reply} by `{case}` of {name}, {first[0]} by {first[1]}")
    return refused


def result(case):
    """The result that a case computes. For a check, all take the first batch of the table."""
    if case.startswith("raw"):
        return "mean"
    return "from" if case.startswith("from") else case.removeprefix("rows-").removeprefix("cached-")


def close(a, b):
    return math.isclose(a, b, rel_tol=1e-5)


def lines(parts, loss, size, main_loss, device):
    """The measurements of a loss at a size: the table, the first cells of its line, and its columns."""
    # Skip the longer formulas where a call costs more than its arithmetic.
    shown = loss in BUILT_IN or size != "64x12"
    if "raw" in parts and shown:
        yield "raw", [loss, size], RAW
    if "raw" in parts and math.prod(SIZES[size]) >= LARGE and device == "cpu":
        yield "limits", [loss, size], LIMITS
    if "rows" in parts and shown:
        yield "rows", [loss, size], ROWS
    if "reductions" in parts and loss == main_loss:
        for name, title in REDUCTIONS.items():
            yield "reductions", [title, size], reduction_columns(name)
    if "constructors" in parts and loss == main_loss:
        yield "constructors", [size], CONSTRUCTORS


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def several(name, choices, default):
        text = f"{' '.join(choices)} (default: {'all' if default == choices else ' '.join(default)})"
        parser.add_argument(name, choices=choices, nargs="+", default=default, metavar=name[2].upper(), help=text)

    several("--parts", PARTS, PARTS)
    several("--sizes", list(SIZES), DEFAULT_SIZES)
    several("--losses", LOSSES, LOSSES)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="(default: %(default)s)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="(default: %(default)s)")
    parser.add_argument("--program", help="a `masked-loss-verify` to run instead of building one with cargo")
    parser.add_argument("--quick", action="store_true", help="few repetitions: a trial run")
    return parser.parse_args()


def main():
    arguments = parse()
    rounds, seconds = (1, 0.02) if arguments.quick else (4, 0.15)
    program = arguments.program or cargo.build("masked-loss-verify")
    setup = Setup(program, arguments.threads, arguments.device, rounds, seconds)
    tables, notes = collections.defaultdict(list), {}
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            write(SIZES[size], f"{folder}/{size}")
            for loss in arguments.losses:
                wanted = list(lines(arguments.parts, loss, size, arguments.losses[0], arguments.device))
                if not wanted:
                    continue
                print(f"{loss} {size}", file=sys.stderr)
                columns = [column for *_, columns in wanted for column in columns]
                columns = [column for column in columns if column.program != WEIGHT or loss in BUILT_IN]
                outcome = measure(setup, loss, SIZES[size], columns, f"{folder}/{size}")
                for name, head, columns in wanted:
                    tables[name].append([*head, *map(outcome.cell, columns)])
                notes |= outcome.refused
    device = torch.cuda.get_device_name() if arguments.device == "cuda" else processor()
    print(f"{device}, {arguments.threads} threads, PyTorch {torch.__version__}\n{GENERAL}")
    for name, (head, columns) in TABLES.items():
        if tables[name]:
            print(f"\n{table([[*head, *[column.title for column in columns]], *tables[name]])}\n{LEGENDS[name]}")
    for name, reason in notes.items():
        print(f"\n{name}: not measured ({reason})")


if __name__ == "__main__":
    main()
