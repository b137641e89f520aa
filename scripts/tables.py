"""The tables of `compare_with_pytorch.py`: their columns and legends."""

import dataclasses

BATCHES = 4  # in the table of labels

CRATE, EAGER, COMPILE, WEIGHT, INDEX = "this crate", "PyTorch eager", "torch.compile", "weight=mask", "x[mask]"
FORMS = {EAGER: "eager", COMPILE: "compile", WEIGHT: "weight", INDEX: "index"}
REDUCTIONS = {
    "sum": "Sum",
    "mean": "Mean",
    "mean-all": "MeanAll",
    "mean-over-rows": "MeanOver(N)",
    "mean-per-row": "MeanPerRow",
    "mean-per-label": "MeanPerLabel",
    "weighted-mean-per-entry": "WeightedMean, weights per entry",
    "weighted-mean-per-row-and-label": "WeightedMean, weights per row and label",
}


@dataclasses.dataclass(frozen=True)
class Column:
    title: str
    program: str
    case: str
    unit: str | None = None  # the case of this crate whose time is 1
    memory: bool = False

    @property
    def key(self):
        return self.program, self.case


def reduction_columns(name):
    fresh, cached = f"rows-{name}", f"cached-{name}"
    return [
        Column(CRATE, CRATE, fresh, unit=cached),
        Column("cached labels", CRATE, cached),
        Column(EAGER, EAGER, fresh, unit=fresh),
    ]


RAW = [
    Column(CRATE, CRATE, "raw", memory=True),
    Column("labels with NaN", CRATE, "raw-nan", unit="raw"),
    Column("cached labels", CRATE, "cached-mean", unit="raw", memory=True),
    *[Column(name, name, "raw", unit="raw", memory=True) for name in FORMS],
]
LIMITS = [
    Column("kernel alone", CRATE, "kernel", unit="bandwidth-9"),
    Column("9 bytes an entry", CRATE, "bandwidth-9"),
    Column("raw call", CRATE, "raw", unit="bandwidth-13"),
    Column("13 bytes an entry", CRATE, "bandwidth-13"),
]
ROWS = [
    Column(CRATE, CRATE, "rows-mean"),
    Column("cached labels", CRATE, "cached-mean", unit="rows-mean"),
    *[Column(name, name, "rows-mean", unit="rows-mean") for name in (EAGER, COMPILE)],
]
MADE = "from-mask", "from-nan", "from-sentinel", "complete"
CONSTRUCTORS = [
    Column("cached labels", CRATE, "cached-mean"),
    *[Column(name.replace("-", "_"), CRATE, name, unit="cached-mean") for name in MADE],
    Column("PyTorch from NaN", EAGER, "from-nan", unit="cached-mean"),
]

GENERAL = """
Medians of float32 steps. A step is the mean loss over the observed entries, and its gradient in the logits, unless a
table says otherwise. PyTorch takes a float32 mask, made outside the step; with a boolean one it is mostly slower."""
TABLES = {  # the header of each table's first cells, and its columns
    "raw": (["loss", "entries"], RAW),
    "limits": (["loss", "entries"], LIMITS),
    "rows": (["loss", "entries"], ROWS),
    "reductions": (["reduction", "entries"], reduction_columns("mean")),
    "constructors": (["entries"], CONSTRUCTORS),
}
LEGENDS = {
    "raw": f"""
Raw: a step starts from tensors: logits, labels and mask (boolean for {CRATE}), or labels that are NaN where missing.
Nothing made from them is kept. Cached labels: {CRATE} on Labels made once, with their counts. PyTorch eager:
(loss(x, y, reduction="none") * mask).sum() / mask.sum(); torch.compile: the same, compiled; weight=mask: PyTorch's own
function takes the product; x[mask]: the mean over the observed entries, picked first. Ratios are to the first column.
MB: by how much a step raises peak resident memory.""",
    "limits": f"""
Limits: the time to move the same bytes through memory, without arithmetic. Kernel alone: the forward pass of
{CRATE} on cached labels, which also computes the gradient; for each entry it reads 4 bytes of logits and 1 of
labels, and writes 4 of gradient. Raw call: as in the table above; it reads 4 of logits, 4 of labels and 1 of mask, and
writes 4 of gradient. Ratios are to the limits.""",
    "rows": f"""
Rows: the labels are a table of {BATCHES} times as many rows. Each step takes different random rows: {CRATE} by
labels.rows(&index) and forward, PyTorch by labels[index] and mask[index] and the line above. Cached labels: {CRATE}
on rows taken once. Ratios are to the first column.""",
    "reductions": f"""
Reductions: each step takes different rows of the table and of its weights. The ratio of {CRATE} is to its own step on
cached labels; the ratio of PyTorch is to {CRATE}. PyTorch computes each formula written out; means of means ignore
rows or labels without an observed entry.""",
    "constructors": """
Constructors: Labels of this many entries from float32 labels of 0 or 1. A boolean mask, NaN or -1 marks missing ones, or
none is missing. PyTorch from NaN: ~y.isnan() and y.nan_to_num(). Ratios are to a step on cached labels.""",
}
