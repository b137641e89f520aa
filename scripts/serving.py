"""Answers commands that check and time cases in PyTorch, like `masked-loss-verify`.

A case is a function of a step's number that returns a loss and its gradients.
"""

import gc
import json
import pathlib
import sys
import time

import environment

torch = environment.require("torch", "torch")


def serve(cases):
    for line in sys.stdin:
        try:
            reply = answer(cases, *line.split())
        except RuntimeError as error:  # no compiler, or not enough memory
            reply = str(error).strip().splitlines()[0]
        print(json.dumps(reply), flush=True)


def check(case):
    first, *rest = case(0)
    held = [tensor.coalesce().values() if tensor.is_sparse else tensor for tensor in rest]
    return [first.double().sum().item(), sum(tensor.double().abs().sum().item() for tensor in held)]


def memory(case):
    """The bytes by which a run raises peak resident memory; None if the system does not report it."""
    case(0)  # allocates what stays allocated
    gc.collect()
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
    except OSError:
        return None
    case(1)
    return resident("VmHWM") - before


def resident(name):
    """A line of this process's status, in bytes."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def finish(case, step):
    case(step)
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def seconds(case, times):
    """The first run warms up caches and buffers, and is not counted."""
    finish(case, 0)
    times_taken = []
    for step in range(1, times + 1):
        start = time.perf_counter()
        finish(case, step)
        times_taken.append(time.perf_counter() - start)
    return times_taken


def answer(cases, command, name, times=1):
    case = cases.case(name)
    match command:
        case "check":
            return check(case)
        case "memory":
            return memory(case)
        case "time":
            return seconds(case, int(times))
    sys.exit(f"unknown command: {command}")
