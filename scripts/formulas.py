"""Every loss and every policy for missing entries as PyTorch computes them, entry by entry, in float64."""

import dataclasses
import functools
import math
from typing import Callable

import environment

torch = environment.require("torch", "torch")
# The version for this PyTorch.
torchvision = environment.require("torchvision.ops", "torchvision", f"torch=={torch.__version__.partition('+')[0]}")
F = torch.nn.functional

@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss as PyTorch computes it, and its options."""

    entry: Callable  # (input, label, **extras) -> the loss of each entry
    draw: Callable  # (shape) -> inputs, with all that is special among them
    extras: dict = dataclasses.field(default_factory=dict)  # name -> (shape) -> a tensor, of it or one for each label
    needs_extras: bool = False  # whether they must be there
    cancels: bool = False  # whether `entry` also takes `nudge`, the relative error of a term that it subtracts from
    regression: bool = False  # whether labels are any numbers, not a mixture of two classes
    published: Callable = None  # (input, label) -> the same as others wrote it, with less care for the far tails


def logits(shape, far=100.0):
    special = torch.tensor([0.0, -0.0, 1.0, -1.0, 30.0, -30.0, far, -far, 1e4, -1e4], dtype=torch.float64)
    return sprinkle(torch.randn(shape, dtype=torch.float64) * 4, special)


def probabilities(shape):
    return sprinkle(logits(shape).sigmoid(), torch.tensor([0.0, 1.0], dtype=torch.float64))


def predictions(shape):
    special = torch.tensor([0.0, -0.0, 1.0, -1.0, 30.0, -30.0, 1e3, -1e3], dtype=torch.float64)
    return sprinkle(torch.randn(shape, dtype=torch.float64) * 4, special)


def bce(x, y, pos_weight=1.0):
    return -y * pos_weight * F.logsigmoid(x) - (1 - y) * F.logsigmoid(-x)


def bce_published(x, y):
    # In the far tails no digits of the small term are left.
    return F.binary_cross_entropy_with_logits(x, y, reduction="none")


def smoothed_bce(x, y, nudge, label_smoothing):
    # The gradient is 0 where the sigmoid is the smoothed label: `nudge` counts the positive's part among the terms.
    y = y * (1 - label_smoothing) + (1 - y) * label_smoothing
    return -y * F.logsigmoid(x) * (1 + nudge) - (1 - y) * F.logsigmoid(-x)


def bce_probabilities(p, y):
    return F.binary_cross_entropy(p, y, reduction="none")


def pos_weight(shape):
    return 5 * torch.rand(shape[1])


def unbiased_bce(x, y, inverse_propensity, nudge):
    # A difference of two losses: `nudge` counts the first of them among the terms.
    seen = y * inverse_propensity
    return -seen * F.logsigmoid(x) * (1 + nudge) - (1 - seen) * F.logsigmoid(-x)


def inverse_propensity(shape):
    return 1 + 9 * torch.rand(shape[1])


def sigmoid(x):
    # The derivative of PyTorch's own is s(1 - s): no digits of it are left where s is close to 1.
    return 1 / (1 + (-x).clamp_max(700).exp())


def focal(x, y, nudge=0.0, gamma=2.0, alpha=0.25):
    # 1 - p_t, from both sigmoids: as a difference it would have no digits left where the model is right.
    wrong = y * sigmoid(-x) + (1 - y) * sigmoid(x)
    balance = 1.0 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    # A power that is no integer is taken by a logarithm, whose rounding `nudge` counts.
    return balance * wrong ** (gamma * (1 + nudge)) * bce(x, y)


def asymmetric(x, y, nudge, gamma_positive=1.0, gamma_negative=4.0, clip=0.05, detach_weights=False):
    # Just above the margin p - c has few digits, in any arithmetic: `nudge` counts p itself among the terms. The gradient
    # jumps at the floor, where x = -18.42068; no draw comes as close as an ULP. For a positive it is proportional to p(1 - p),
    # which in f32 has no digits where p or 1 - p is subnormal, |x| from 87 to 104: drawn at 80 instead of 100.
    def above(x):
        return (sigmoid(x) * (1 + nudge) - clip).clamp_min(0)

    weighed = x.detach() if detach_weights else x
    positive = sigmoid(-weighed) ** gamma_positive * F.logsigmoid(x).clamp_min(math.log(1e-8))
    return -y * positive - (1 - y) * above(weighed) ** gamma_negative * (1 - above(x)).log()


def hill(x, y, nudge=0.0, bend=1.5, margin=1.0, gamma=2.0):
    # The rounding of x - margin grows with gamma: `nudge` counts it.
    moved = (x - margin) * (1 + nudge)
    positive = -(sigmoid(-moved) ** gamma) * F.logsigmoid(moved)
    # (bend - p)p^2 from both ends of the hill: from the far one, its slope would have no digits left.
    p, rest = sigmoid(x), sigmoid(-x)
    far = (bend - 1) + (3 - 2 * bend) * rest + (bend - 3) * rest**2 + rest**3
    return y * positive + (1 - y) * torch.where(x < 0, (bend - p) * p**2, far)


def hill_published(x, y):
    p, moved = x.sigmoid(), (x - 1).sigmoid()
    return -y * (1 - moved) ** 2 * moved.log() + (1 - y) * (1.5 - p) * p**2


def regression(entry):
    """Labels may be bounds: a prediction that respects its bound is set to it, as in chemprop."""

    def bounded(x, y, bound=None):
        if bound is not None:
            x = torch.where(((bound < 0) & (x < y)) | ((bound > 0) & (x > y)), y, x)
        return entry(x, y, reduction="none")

    return Loss(bounded, predictions, {"bound": lambda shape: torch.randint(-1, 2, shape)}, regression=True)


LOSSES = {
    "bce": Loss(bce, logits, {"pos_weight": pos_weight}, published=bce_published),
    "bce-probabilities": Loss(bce_probabilities, probabilities),
    "focal": Loss(focal, logits, published=functools.partial(torchvision.sigmoid_focal_loss, reduction="none")),
    "asymmetric": Loss(asymmetric, functools.partial(logits, far=80.0), cancels=True),
    "hill": Loss(hill, logits, published=hill_published),
    "huber": regression(F.huber_loss),
    "squared": regression(F.mse_loss),
    "absolute": regression(F.l1_loss),
    "unbiased-bce": Loss(
        unbiased_bce, logits, {"inverse_propensity": inverse_propensity}, needs_extras=True, cancels=True
    ),
}


def with_settings(loss, **settings):
    """A loss with other settings, under the names of the formula's arguments."""
    return dataclasses.replace(loss, entry=functools.partial(loss.entry, **settings), extras={}, published=None)


# Losses as `--loss` describes them with settings: each setting of each loss must be among these, or among the `extras` above.
SETTINGS = {
    "bce:label_smoothing=0.1": Loss(functools.partial(smoothed_bce, label_smoothing=0.1), logits, cancels=True),
    "focal:gamma=1.5:alpha=0.6": with_settings(Loss(focal, logits, cancels=True), gamma=1.5, alpha=0.6),
    "focal:gamma=3:alpha=none": with_settings(LOSSES["focal"], gamma=3.0, alpha=None),
    "asymmetric:gamma_positive=2:gamma_negative=3:clip=0.2": with_settings(
        LOSSES["asymmetric"], gamma_positive=2.0, gamma_negative=3.0, clip=0.2
    ),
    "asymmetric:detach_weights=true": with_settings(LOSSES["asymmetric"], detach_weights=True),
    # Its slope at 100, where p(1 - p) is subnormal, does not vanish as that of the default does: drawn at 80.
    "hill:lambda=2:margin=-0.5:gamma=3": with_settings(
        Loss(hill, functools.partial(logits, far=80.0), cancels=True), bend=2.0, margin=-0.5, gamma=3.0
    ),
    "huber:delta=2.5": regression(functools.partial(F.huber_loss, delta=2.5)),
}


def far_from_subnormal(shape):
    """Where |x| is 87 or more, f32 has no digits for the product of x and p."""
    return logits(shape, far=80.0)


def entropy(x, columns, nudge, **_):
    # Of -H(p), from |x|; its slope near 0 is a difference of two numbers near 1/2, which `nudge` counts.
    size = x.abs()
    return 0.1 * (F.logsigmoid(size) * (1 + nudge) - size * torch.sigmoid(-size))


def focal_negative(x, columns, nudge, **_):
    return -(sigmoid(x).detach() ** 2) * F.logsigmoid(-x).clamp_min(math.log(1e-8))


def half(x, columns, nudge, pos_weight=1.0):
    # The slope p - 1/2 cancels near 0: `nudge` counts one of its halves.
    return -0.5 * (pos_weight * F.logsigmoid(x) * (1 + nudge) + F.logsigmoid(-x))


# What a missing entry counts as: (input, number of labels, nudge, **extras) -> its loss; observed entries have `bce`.
POLICIES = {
    "negative": lambda x, columns, nudge, **_: -F.logsigmoid(-x),
    "weak-negative": lambda x, columns, nudge, **_: -F.logsigmoid(-x) / max(columns - 1, 1),
    "half": half,
    "entropy": entropy,
    "focal-negative": focal_negative,
}


def sprinkle(tensor, special):
    """Puts a special value into every fifth place or so."""
    chosen = special[torch.randint(len(special), tensor.shape)]
    return torch.where(torch.rand(tensor.shape) < 0.2, chosen, tensor)


def check():
    """Compares with the published formulas, where these are precise."""
    x = torch.linspace(-4, 4, 401, dtype=torch.float64, requires_grad=True)
    for name, loss in LOSSES.items():
        for label in [0.0, 0.3, 1.0] if loss.published else []:
            here, there = (entry(x, torch.full_like(x, label)) for entry in [loss.entry, loss.published])
            for pair in [(here, there), [torch.autograd.grad(entries.sum(), x)[0] for entries in [here, there]]]:
                torch.testing.assert_close(*pair, rtol=1e-12, atol=0, msg=f"{name}: the formula here is another")
