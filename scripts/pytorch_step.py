"""Masked losses with their gradients in PyTorch, timed on request: the counterpart of `masked-loss-verify step`.

It answers the commands `check CASE`, `memory CASE` and `time CASE K` like that program, for the cases `raw`,
`rows-REDUCTION` and `from-nan`. If PyTorch cannot run a case, the answer is the reason, as a string.
"""

import argparse
import functools
import sys

import environment
import serving

torch = environment.require("torch", "torch")
safetensors = environment.require("safetensors.torch", "safetensors")
F = torch.nn.functional


def bce(x, y, **settings):
    return F.binary_cross_entropy_with_logits(x, y, **{"reduction": "none", **settings})


def bce_probabilities(x, y, **settings):
    return F.binary_cross_entropy(x, y, **{"reduction": "none", **settings})


def focal(x, y, alpha=0.25, gamma=2):
    """As in torchvision."""
    p = torch.sigmoid(x)
    p_t = p * y + (1 - p) * (1 - y)
    return (alpha * y + (1 - alpha) * (1 - y)) * (1 - p_t) ** gamma * bce(x, y)


def asymmetric(x, y, gamma_positive=1, gamma_negative=4, clip=0.05, least=1e-8):
    """As published, with the weights not detached."""
    p = torch.sigmoid(x)
    q = (1 - p + clip).clamp(max=1)
    loss = y * torch.log(p.clamp(min=least)) + (1 - y) * torch.log(q.clamp(min=least))
    p_t = p * y + q * (1 - y)
    return -loss * torch.pow(1 - p_t, gamma_positive * y + gamma_negative * (1 - y))


LOSSES = {"bce": bce, "bce-probabilities": bce_probabilities, "focal": focal, "asymmetric": asymmetric}


def times_mask(entry, x, y, mask, observed):
    return (entry(x, y) * mask).sum() / mask.sum()


def weight(entry, x, y, mask, observed):
    return entry(x, y, weight=mask, reduction="sum") / mask.sum()


def index(entry, x, y, mask, observed):
    return entry(x[observed], y[observed]).mean()


FORMS = {"eager": times_mask, "compile": times_mask, "weight": weight, "index": index}


def mean_of_means(loss, mask, dimension):
    """Ignores rows or labels without an observed entry."""
    count = mask.sum(dimension)
    seen = count > 0
    return (loss.sum(dimension)[seen] / count[seen]).mean()


def weighted_mean(loss, mask, weights):
    return (loss * weights).sum() / (mask * weights).sum()


# (the entries' losses times the mask, the mask, the batch's rows in the table, the table's weights) -> the loss.
REDUCTIONS = {
    "sum": lambda loss, mask, *_: loss.sum(),
    "mean": lambda loss, mask, *_: loss.sum() / mask.sum(),
    "mean-all": lambda loss, mask, *_: loss.mean(),
    "mean-over-rows": lambda loss, mask, *_: loss.sum() / len(loss),
    "mean-per-row": lambda loss, mask, *_: mean_of_means(loss, mask, 1),
    "mean-per-label": lambda loss, mask, *_: mean_of_means(loss, mask, 0),
    "weighted-mean-per-entry": lambda loss, mask, rows, weights: weighted_mean(loss, mask, weights[rows]),
    "weighted-mean-per-row-and-label": lambda loss, mask, rows, by_row, by_label: weighted_mean(
        loss, mask, by_row[rows] * by_label
    ),
}


def by_rows(reduction, entry, x, labels, mask, rows, weights):
    y, m = labels[rows], mask[rows]
    return REDUCTIONS[reduction](entry(x, y) * m, m, rows, *weights)


class Cases:
    """The cases by name. A case is a function of the step's number."""

    def __init__(self, loss, form, file, device):
        self.entry, self.form = LOSSES[loss], form
        # Copies, because the file's own tensors may be unaligned.
        self.file = {name: tensor.clone().to(device) for name, tensor in safetensors.load_file(file).items()}
        logits = self.file["logits"]
        self.x = (logits.sigmoid() if loss == "bce-probabilities" else logits).requires_grad_()
        self.rows = [rows.clone() for rows in self.file["indices"]]
        self.nan = self.file["labels"][self.rows[0]]
        observed = ~self.nan.isnan()
        self.batch = self.nan.nan_to_num(), observed.float(), observed
        self.made = {}

    @functools.cached_property
    def table(self):
        return self.file["labels"].nan_to_num(), (~self.file["labels"].isnan()).float()

    @functools.cached_property
    def weights(self):
        by_row, by_label = self.file["row_weights"][:, None], self.file["label_weights"]
        return {"weighted-mean-per-entry": [by_row + by_label], "weighted-mean-per-row-and-label": [by_row, by_label]}

    def case(self, name):
        if name not in self.made:
            self.made[name] = self.make(name)
        return self.made[name]

    def make(self, name):
        if name == "from-nan":
            return lambda _: (~self.nan.isnan(), self.nan.nan_to_num())
        kind, _, reduction = name.partition("-")
        if name == "raw":
            loss = self.compiled(functools.partial(FORMS[self.form], self.entry))
            return lambda _: self.step(loss(self.x, *self.batch))
        if kind == "rows" and reduction in REDUCTIONS:
            loss = self.compiled(functools.partial(by_rows, reduction, self.entry))
            weights = self.weights[reduction] if reduction.startswith("weighted") else []
            rows = self.rows
            return lambda step: self.step(loss(self.x, *self.table, rows[step % len(rows)], weights))
        sys.exit(f"there is no case `{name}`")

    def compiled(self, function):
        return torch.compile(function, dynamic=False) if self.form == "compile" else function

    def step(self, loss):
        # The gradient is returned, not accumulated: in a network the logits are not a leaf.
        return loss.detach(), torch.autograd.grad(loss, self.x)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", choices=LOSSES, required=True)
    parser.add_argument("--form", choices=FORMS, required=True, help="how missing labels are ignored")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("file", help="the safetensors file of `masked-loss-verify step`")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cases = Cases(arguments.loss, arguments.form, arguments.file, arguments.device)
    serving.serve(cases)


if __name__ == "__main__":
    main()
