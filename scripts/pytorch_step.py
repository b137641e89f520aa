"""A training step's loss and gradient in PyTorch, timed on request: the other half of `examples/step`.

It answers the commands `check`, `memory` and `step K` as that program does; where PyTorch cannot serve, every answer is
the reason, as a string.
"""

import argparse
import functools
import gc
import json
import pathlib
import sys
import time

import environment

torch = environment.require("torch", "torch")
safetensors = environment.require("safetensors.torch", "safetensors")
F = torch.nn.functional
cross_entropy = F.binary_cross_entropy_with_logits


def bce(x, y):
    return cross_entropy(x, y, reduction="none")


def focal(x, y, alpha=0.25, gamma=2):
    """As torchvision has it."""
    p = torch.sigmoid(x)
    p_t = p * y + (1 - p) * (1 - y)
    return (alpha * y + (1 - alpha) * (1 - y)) * (1 - p_t) ** gamma * bce(x, y)


def asymmetric(x, y, gamma_positive=1, gamma_negative=4, clip=0.05, least=1e-8):
    """As its authors published it, with the weights not detached."""
    p = torch.sigmoid(x)
    q = (1 - p + clip).clamp(max=1)
    loss = y * torch.log(p.clamp(min=least)) + (1 - y) * torch.log(q.clamp(min=least))
    p_t = p * y + q * (1 - y)
    return -loss * torch.pow(1 - p_t, gamma_positive * y + gamma_negative * (1 - y))


def masked(entry, x, y, mask, observed):
    return (entry(x, y) * mask).sum() / mask.sum()


def weight(entry, x, y, mask, observed):
    return cross_entropy(x, y, weight=mask, reduction="sum") / mask.sum()


def index(entry, x, y, mask, observed):
    return entry(x[observed], y[observed]).mean()


LOSSES = {"bce": bce, "focal": focal, "asymmetric": asymmetric}
FORMS = {"eager": masked, "compile": torch.compile(masked, dynamic=False), "weight": weight, "index": index}


def step(form, entry, x, *labels):
    # The gradient is taken, not accumulated: in a network the logits are no leaf.
    loss = form(entry, x, *labels)
    return loss.detach(), torch.autograd.grad(loss, x)[0]


def check(run):
    loss, gradient = run()
    return [loss.item(), gradient.double().abs().sum().item()]


def memory(run):
    """By how many bytes a step raises the peak of resident memory; None where the system does not tell."""
    run()  # what stays for good is there
    gc.collect()
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
    except OSError:
        return None
    run()
    return resident("VmHWM") - before


def resident(name):
    """A line of this process's status, in bytes."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def seconds(run, times):
    """The first time, which is not counted, brings caches and buffers into their usual state."""
    run()
    times_taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        times_taken.append(time.perf_counter() - start)
    return times_taken


def answer(run, command, times=1):
    match command:
        case "check":
            return check(run)
        case "memory":
            return memory(run)
        case "step":
            return seconds(run, int(times))
    sys.exit(f"no command: {command}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", choices=LOSSES, required=True)
    parser.add_argument("--form", choices=FORMS, required=True, help="how missing labels are left out")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("file", help="safetensors with `logits` [N, C] and `labels` [N, C], NaN where missing")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    file = safetensors.load_file(arguments.file)
    observed = ~file["labels"].isnan()
    labels = file["labels"].nan_to_num(), observed.float(), observed
    logits = file["logits"].requires_grad_()
    run = functools.partial(step, FORMS[arguments.form], LOSSES[arguments.loss], logits, *labels)
    for line in sys.stdin:
        try:
            reply = answer(run, *line.split())
        except RuntimeError as error:  # the compiler is missing, or memory
            reply = str(error).strip().splitlines()[0]
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
