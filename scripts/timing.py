"""Shared by the scripts that compare times: programs that answer commands, rounds, and tables."""

import contextlib
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys


class Program:
    """A process that answers commands, see `masked-loss-verify step --help`."""

    def __init__(self, name, command, threads, **environ):
        environ = {**os.environ, "OMP_NUM_THREADS": str(threads), **environ}
        pipe = subprocess.PIPE
        self.name = name
        self.process = subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()

    def ask(self, command):
        with contextlib.suppress(BrokenPipeError):
            print(command, file=self.process.stdin, flush=True)
        reply = self.process.stdout.readline()
        if not reply:
            sys.exit(f"{self.name}: the program failed (see above)")
        return json.loads(reply)


def digits(number, significant):
    """At least this many significant digits, with trailing zeros and without an exponent."""
    return f"{number:.{max(significant - 1 - math.floor(math.log10(number)), 0)}f}"


def in_rounds(programs, keys, rounds, seconds_each):
    """The median seconds of each case. In rounds, passing noise affects all cases alike."""
    taken = {(name, case): programs[name].ask(f"time {case} 1") for name, case in keys}
    for _ in range(rounds):
        for (name, case), seconds in taken.items():
            times = min(max(round(seconds_each / min(seconds)), 1), 10_000)
            seconds += programs[name].ask(f"time {case} {times}")
    return {key: statistics.median(seconds) for key, seconds in taken.items()}


def table(rows):
    """A Markdown table whose columns also line up in a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def processor():
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.processor() or platform.machine()
