"""A last layer with its loss in PyTorch, timed on request: the counterpart of `masked-loss-verify head`.

It answers the commands `check CASE`, `memory CASE` and `time CASE K` like that program. The cases are ways to ignore
missing labels; `compile-` before a name adds torch.compile:

  mask           all logits and their losses, times the mask
  logits         all logits, then those of the observed entries
  entries        dot products of the observed entries' hidden vectors and weights
  entries-sparse the same, with a sparse gradient of the weights

If PyTorch cannot run a case, the answer is the reason, as a string.
"""

import argparse
import functools

import environment
import serving

torch = environment.require("torch", "torch")
safetensors = environment.require("safetensors.torch", "safetensors")
F = torch.nn.functional
bce = F.binary_cross_entropy_with_logits

LARGEST = 1 << 32  # bytes of a matrix of labels


def mask(hidden, weight, bias, labels, mask):
    losses = bce(F.linear(hidden, weight, bias), labels, reduction="none")
    return (losses * mask).sum() / mask.sum()


def logits(hidden, weight, bias, rows, columns, values):
    return bce(F.linear(hidden, weight, bias)[rows, columns], values)


def entries(hidden, weight, bias, rows, columns, values, sparse=False):
    weights = F.embedding(columns, weight, sparse=sparse)
    return bce((hidden[rows] * weights).sum(1) + bias[columns], values)


FORMS = {"mask": mask, "logits": logits, "entries": entries, "entries-sparse": functools.partial(entries, sparse=True)}


class Cases:
    def __init__(self, file):
        # Copies, because the file's own tensors may be unaligned.
        self.file = {name: tensor.clone() for name, tensor in safetensors.load_file(file).items()}
        self.inputs = [self.file[name].requires_grad_() for name in ("hidden", "weight", "bias")]
        self.indices = [rows.clone() for rows in self.file["indices"]]
        self.columns, self.values = self.file["columns"].long(), self.file["values"].float()

    @functools.cached_property
    def matrices(self):
        """Labels and mask of all rows."""
        starts = self.file["starts"]
        size = len(starts) - 1, len(self.file["bias"])
        if 4 * size[0] * size[1] > LARGEST:
            raise RuntimeError("a matrix of all labels is too large")
        labels, observed = torch.zeros(size), torch.zeros(size)
        rows = torch.repeat_interleave(torch.arange(size[0]), starts.diff())
        labels[rows, self.columns], observed[rows, self.columns] = self.values, 1
        return labels, observed

    def entries(self, batch):
        """Rows, labels and values of the observed entries of a batch."""
        starts = self.file["starts"]
        counts = starts[batch + 1] - starts[batch]
        rows = torch.repeat_interleave(torch.arange(len(batch)), counts)
        first = starts[batch] - (counts.cumsum(0) - counts)
        places = torch.arange(len(rows)) + first[rows]
        return rows, self.columns[places], self.values[places]

    @functools.cache
    def case(self, name):
        form = name.removeprefix("compile-")
        loss = FORMS[form]
        if form != name:
            loss = torch.compile(loss, dynamic=form != "mask")
        def labels(batch):
            return [matrix[batch] for matrix in self.matrices] if form == "mask" else self.entries(batch)
        def step(number):
            value = loss(*self.inputs, *labels(self.indices[number % len(self.indices)]))
            return value.detach(), *torch.autograd.grad(value, self.inputs)
        return step


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("file", help="the safetensors file of `masked-loss-verify head`")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    serving.serve(Cases(arguments.file))


if __name__ == "__main__":
    main()
