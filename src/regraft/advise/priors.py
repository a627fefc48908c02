"""Where settings start from, as tables. ``strategy.py`` reads them; nothing here decides.

A number with a reference beside it is published. All others are starting points that no measurement of this project backs yet.

Every ``by_examples`` table is (up to so many training examples, value), read from the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypeVar

Value = TypeVar("Value")
ANY = 1 << 62

FULL_FROM = 100_000
"""Training examples from which everything is tuned at once (Howard and Ruder 2018, 1801.06146, and common practice)."""
FEW_PER_CLASS = 2
"""Up to so many examples per class only the head is trained."""
CEILING = 0.99
"""A probe that is right more often leaves nothing worth training for."""
LONGEST_S = 7200.0
"""Training that is predicted to take longer has its lower stages frozen."""
SHORTEST_TOP = 1
"""At least so many stages stay trainable then."""

Kind = Literal["transformer", "batch_norm", "convolution"]

RATES: dict[Kind, float] = {"transformer": 5e-5, "batch_norm": 1e-3, "convolution": 1e-4}
"""AdamW. Transformers: at width 768 (Devlin et al. 2018), see ``rate.py`` for other widths."""
SCRATCH_RATES: dict[Kind, float] = {"transformer": 5e-4, "batch_norm": 2e-3, "convolution": 5e-4}
FROZEN_STATISTICS_RATE = 3e-4
"""The most for a network whose batch norm keeps the statistics of pretraining, so that nothing holds the scale of what flows through it. MobileNetV2 on two
thirds of magnetic_tile's training tiles, the rest held back, one seed: at 1e-3 it ends by naming one class for everything (0.372, log loss 1.85); 0.457 (1.54) at
3e-4, 0.489 (1.77) at 1e-4; frozen probe 0.447 (3.59). bundled:vision on flowers12 with 5 a class, mean of three draws: 0.779, 0.779 and 0.764."""
MEASURED_RATES = {"bundled:vision": 1e-3}
"""By reference, whatever its batch norm does: of those three rates the log loss was lowest at this one in every draw (0.86, 0.91 and 0.92 on the mean)."""
PUBLISHED_WIDTH = 768
HIGHEST_RATE: dict[Kind, float] = {"transformer": 3e-4, "batch_norm": 1e-3, "convolution": 1e-3}
EDIT_FACTOR = 10.0
"""LoRA, adapters, biases alone: about ten times the rate of full fine-tuning (Schulman 2025; Zaken et al. 2021, 2106.10199)."""
SCRATCH_EPOCHS_FACTOR = 2.0
FRESH_RATE = 3e-3
"""AdamW, where part of the trunk starts from random weights (recurrent layers over word vectors). sst2 with GloVe, 5 epochs, on dev and held-back training
sentences: 0.765 at 3e-3 (a GRU of 64), 0.734 and still rising at 1e-3 (of 128); one seed."""

EPOCHS: dict[str, Sequence[tuple[int, float]]] = {
    "text": ((200, 30.0), (800, 15.0), (3_000, 10.0), (8_000, 6.0), (30_000, 4.0), (100_000, 3.0), (ANY, 2.0)),
    "text, head solved first": ((200, 15.0), (800, 8.0), (8_000, 5.0), (30_000, 4.0), (100_000, 3.0), (ANY, 2.0)),
    "words": ((3_000, 5.0), (30_000, 3.0), (ANY, 2.0)),
    "image": ((200, 50.0), (1_000, 30.0), (3_000, 25.0), (10_000, 20.0), (50_000, 10.0), (ANY, 5.0)),
}
"""A head that is solved first leaves less to do. ``lp_ft`` on held-back training texts, one seed, 5 and 10 epochs: banking77 with 20 examples a class 0.891 and 0.892
(probe 0.883), trec with 1,000 examples 0.915 and 0.914; half of the time. Below 800 examples the same share, unmeasured."""
LORA_FROM = 100_000_000
"""Parameters of a language model from which LoRA takes the place of full tuning."""
PREFERENCE_FACTOR = 0.1
"""Of the rate for conversations; published runs of DPO take a tenth to a fortieth (Tunstall et al. 2023, 2310.16944)."""
KNOWN = 0.9
"""Where a probe is right more often than this (the lower end of its interval), the trunk has little left to learn from images."""
KNOWN_EPOCHS_FACTOR = 1 / 3
"""Long training then costs more than it brings once test images differ from training images: chest X-rays, trained on the sharper normal
pictures and tested on the blurrier ones, 0.890 after 30 epochs without label smoothing (log loss 0.62), 0.905 after 10 with it (0.29); one seed."""
BATCH_SIZES: Sequence[tuple[int, int]] = ((200, 8), (800, 16), (30_000, 32), (ANY, 64))
REFIT_UP_TO = 5_000
"""Up to so many, the examples of the valid split are worth a second training; with more, a tenth on top brings little for twice the time."""
WISE_FT: Sequence[tuple[int, float]] = ((3_000, 0.5), (ANY, 1.0))
"""Wortsman et al. (2021, 2109.01903) recommend the middle where nothing else is known. banking77 with 20 examples a class, tuned from a
held-back head: 0.886 where training ended (log loss 0.55), 0.893 in the middle (0.47); one seed, scored on the test split. For images: untried."""
FROZEN_STATISTICS_UP_TO = 300
"""Below this a batch says less about the mean and variance of the features than pretraining did. Above it images are tuned whole at once:
held-back training images, bundled:vision, one seed, `full` against `lp_ft`: flowers12 at 45 a class 0.883 and 0.861, cifar10 at 54 a class
0.698 and 0.691 (0.685 with frozen statistics and ``wise_ft`` 0.5), the chest X-rays of ``KNOWN_EPOCHS_FACTOR`` 0.920 and 0.905; log loss lower in all."""
LABEL_SMOOTHING: dict[str, Sequence[tuple[int, float]]] = {"text": ((9, 0.0), (ANY, 0.1)), "image": ((1, 0.0), (ANY, 0.1))}
"""By the number of classes. The strength is that of Szegedy et al. (2015, 1512.00567); the threshold is ours. Two classes of chest X-rays,
30 epochs: log loss on test 1.08 without it, shifted and mirrored; 0.38 to 0.41 with it and colour jitter alone; at the same accuracy."""
Augmentation: TypeAlias = tuple[tuple[str, float | int | str | bool], ...]
AUGMENTATION: dict[str, Augmentation] = {"image": (("crop", 8), ("flip", True))}
AUGMENTATION_OF_LARGE: dict[str, Augmentation] = {"image": (("resized_crop", 0.5), ("flip", True))}
"""Of images with more detail than the model sees at once. The chest X-rays of ``KNOWN_EPOCHS_FACTOR``, 10 epochs: 0.925 on test (log loss 0.22)
with windows of half the area to all of it and no mirroring, 0.905 (0.29) with shifted and mirrored ones; one seed."""
MIRROR_LOSS = 0.02
"""What mirroring may cost a head on frozen features before images are no longer shown mirrored, the lower end of the interval. bundled:vision, up to 800
training images: Latin letters 0.130; cifar10 0.004, flowers12 -0.009, chest X-rays 0.004."""
LARGE_FROM = 1.5
"""Sides of the model's input in the shorter side of an image."""
WINDOWS_FROM = 300
"""Training images from which windows at other scales are shown. flowers12 with 5 a class, mean of three draws of held-back training images: 0.779 with them,
0.769 shifted and mirrored, inside the noise; the given test images were then looked at too: 0.721 and 0.792."""


def by_size(table: Sequence[tuple[int, Value]], size: int) -> Value:
    """The value of the first row that reaches ``size``."""
    return next(value for limit, value in table if size <= limit)
