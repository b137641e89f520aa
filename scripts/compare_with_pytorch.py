"""Times the loss and gradient of a training step, here and in PyTorch, and prints one table in Markdown.

All is measured in turn, in rounds, on the same logits and labels, of which 30 % are observed, and the same number of
threads. Each way of computing it is a process of its own: `examples/step` for this crate, which cargo builds first, and
`scripts/pytorch_step.py`. A run on an idle machine takes about ten minutes. The exit status is 1 if results differ.
"""

import argparse
import collections
import contextlib
import dataclasses
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import cargo
import environment

torch = environment.require("torch", "torch")
safetensors = environment.require("safetensors.torch", "safetensors")

SIZES = {"64x12": (64, 12), "256x1000": (256, 1000), "256x20000": (256, 20_000), "1024x20000": (1024, 20_000)}
LOSSES = ["bce", "focal", "asymmetric"]
OBSERVED = 0.3
CRATE = "this crate"
FORMS = {"PyTorch eager": "eager", "torch.compile": "compile", "weight=mask": "weight", "x[mask]": "index"}
PARTS = {"kernel alone": "kernel", "stream limit": "stream"}

LEGEND = f"""
Medians of float32 steps, forward and backward: milliseconds, how many times as long as {CRATE}, and by how much a step
raises the peak of resident memory. PyTorch eager takes every entry's loss times the mask, over the mask's sum;
torch.compile is the same compiled, and x[mask] picks the observed entries first. Kernel alone: {CRATE} without the
autograd engine's backward pass, and how many times as long as the stream limit. Stream limit: reading 5 bytes an entry
and writing 4, logits, one-byte labels and gradient, with no arithmetic."""


@dataclasses.dataclass(frozen=True)
class Setup:
    """What all the cases share."""

    crate: str  # the program
    threads: int
    rounds: int
    seconds: float  # of each form in each round


class Program:
    """A process that answers commands, see `examples/step`."""

    def __init__(self, setup, name, loss, file, **environ):
        python = [sys.executable, str(pathlib.Path(__file__).with_name("pytorch_step.py")), "--form", FORMS.get(name)]
        command = [setup.crate] if name == CRATE else python
        command += ["--loss", loss, "--threads", str(setup.threads), file]
        environ = {**os.environ, "OMP_NUM_THREADS": str(setup.threads), **environ}
        pipe = subprocess.PIPE
        self.name = name
        self.process = subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()

    def ask(self, command):
        print(command, file=self.process.stdin, flush=True)
        reply = self.process.stdout.readline()
        if not reply:
            sys.exit(f"{self.name}: the program failed (see above)")
        return json.loads(reply)


@dataclasses.dataclass
class Outcome:
    """Of one loss at one size, by column; what could not be measured is not there."""

    seconds: dict
    bytes: dict
    refused: dict  # column -> why

    def cell(self, column):
        if column not in self.seconds:
            return "-"
        unit = self.seconds["stream limit" if column in PARTS else CRATE]
        shown = [f"{digits(1e3 * self.seconds[column])} ms"]
        if column not in (CRATE, "stream limit"):
            shown.append(f"{digits(self.seconds[column] / unit)}x")
        if self.bytes.get(column) is not None:
            shown.append(f"{self.bytes[column] / 1e6:.0f} MB")
        return ", ".join(shown)


def digits(number):
    return f"{number:.0f}" if number >= 100 else f"{number:.2g}" if number < 10 else f"{number:.3g}"


def write(size, file):
    torch.manual_seed(0)
    logits, labels = torch.randn(size), torch.rand(size).round()
    labels[torch.rand(size) >= OBSERVED] = torch.nan
    safetensors.save_file({"logits": logits, "labels": labels}, file)


def measure(setup, loss, file):
    forms = [name for name in FORMS if loss == "bce" or name != "weight=mask"]
    with contextlib.ExitStack() as stack:
        programs = {name: stack.enter_context(Program(setup, name, loss, file)) for name in [CRATE, *forms]}
        refused = agree(loss, programs)
        running = {name: program for name, program in programs.items() if name not in refused}
        seconds = in_rounds(setup, running)
    # With a fixed threshold, large blocks go back to the system at once, and what a step takes shows as a whole.
    with contextlib.ExitStack() as stack:
        fresh = {name: Program(setup, name, loss, file, MALLOC_MMAP_THRESHOLD_=str(1 << 20)) for name in running}
        taken = {name: stack.enter_context(program).ask("memory") for name, program in fresh.items()}
    return Outcome(seconds, taken, refused)


def agree(loss, programs):
    """That all results are those of this crate; which programs refuse, and why."""
    replies = {name: program.ask("check") for name, program in programs.items()}
    for name, reply in replies.items():
        if not isinstance(reply, str) and not all(map(close, reply, replies[CRATE])):
            sys.exit(f"{loss}: loss and Σ|gradient| are {reply} by {name}, {replies[CRATE]} by {CRATE}")
    return {name: reply for name, reply in replies.items() if isinstance(reply, str)}


def close(a, b):
    return math.isclose(a, b, rel_tol=1e-5)


def in_rounds(setup, programs):
    """The median of each column. Noise that comes and goes meets all of them alike."""
    columns = {name: (program, "step") for name, program in programs.items()}
    columns |= {name: (programs[CRATE], command) for name, command in PARTS.items()}
    times = {}
    for name, (program, command) in columns.items():
        once = program.ask(f"{command} 1")[0]
        times[name] = min(max(round(setup.seconds / once), 1), 10_000)
    taken = collections.defaultdict(list)
    for _ in range(setup.rounds):
        for name, (program, command) in columns.items():
            taken[name] += program.ask(f"{command} {times[name]}")
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def table(rows):
    """In Markdown, with columns that line up in a terminal, too."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def processor():
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.processor() or platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="(%(default)s)")
    parser.add_argument("--sizes", choices=SIZES, nargs="+", default=list(SIZES), metavar="SIZE", help=" ".join(SIZES))
    parser.add_argument("--losses", choices=LOSSES, nargs="+", default=LOSSES, metavar="LOSS", help=" ".join(LOSSES))
    parser.add_argument("--quick", action="store_true", help="few repetitions: a trial, no result")
    arguments = parser.parse_args()
    rounds, seconds = (2, 0.05) if arguments.quick else (9, 0.3)
    setup = Setup(cargo.build("step"), arguments.threads, rounds, seconds)

    columns = [CRATE, *FORMS, *PARTS]
    rows, notes = [["loss", "entries", *columns]], {}
    # The richer formulas have nothing to show where a call costs more than its arithmetic.
    cases = [(loss, size) for loss in arguments.losses for size in arguments.sizes if loss == "bce" or size != "64x12"]
    with tempfile.TemporaryDirectory() as folder:
        for loss, size in cases:
            print(f"{loss} {size}", file=sys.stderr)
            write(SIZES[size], f"{folder}/{size}")
            outcome = measure(setup, loss, f"{folder}/{size}")
            rows.append([loss, size, *map(outcome.cell, columns)])
            notes |= outcome.refused
    print(f"{processor()}, {arguments.threads} threads, PyTorch {torch.__version__}\n")
    print(table(rows))
    print(LEGEND)
    for name, reason in notes.items():
        print(f"{name}: not measured ({reason})")


if __name__ == "__main__":
    main()
