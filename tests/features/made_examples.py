"""Features of the village with random weights, its texts, and everything about both written out
densely, one window at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

import molehill
from molehill.features.autoencoder import Settings
from molehill.features.gathering import Gathered, Gathering, gather
from molehill.features.making import make_autoencoder
from molehill.features.trained import Features
from molehill.trace import record
from molehill.trace.windows import Window
from molehill.village import make_world, tell

SITE = "1.resid_post"


@cache
def village():
    """The model."""
    return molehill.load("village")


@cache
def texts(count: int = 90) -> tuple[str, ...]:
    """So many sentences; three of them in one text, so that texts have several windows."""
    told = [each.text for each in tell(make_world(), count, seed=3)]
    return tuple(" ".join(told[at : at + 3]) for at in range(0, count, 3))


@cache
def features(n_features: int = 80, architecture: str = "topk") -> Features:
    """Random directions; some are active often, some never."""
    lm = village()
    settings = Settings(architecture, 96, 96, n_features, k=4)
    autoencoder = make_autoencoder(settings, seed=5)
    with torch.no_grad():
        autoencoder.b_enc.copy_(torch.linspace(-6.0, 1.0, n_features))
    provenance = {"data": {"skip_first": 1, "skip_special": True}}
    return Features(autoencoder, (SITE,), (SITE,), "made", lm.name, lm.fingerprint, provenance)


@dataclass(frozen=True)
class Dense:
    """Every activation, and what it belongs to."""

    windows: list[Window]
    codes: list[Tensor]
    """For each window [position, feature]; 0 at tokens that are left out."""

    @property
    def active(self) -> list[tuple[int, int, int, float]]:
        """(feature, window, position, value) of all."""
        return [
            (feature, window, place, codes[place, feature].item())
            for window, codes in enumerate(self.codes)
            for place, feature in (codes > 0).nonzero().tolist()
        ]


@cache
def dense(context: int = 20) -> Dense:
    """Windows by hand, each run by itself."""
    lm, made = village(), features()
    special = lm.tokenizer.special_ids
    windows: list[Window] = []
    (framed,) = lm.tokenizer.ids(["the"])
    before = framed[: framed.index(lm.tokenizer.ids(["the"], add_special=False)[0][0])]
    after = framed[len(before) + 1 :]
    room = context - len(before) - len(after)
    for number, text in enumerate(texts()):
        (ids,) = lm.tokenizer.ids([text], add_special=False)
        for part, at in enumerate(range(0, len(ids), room)):
            windows.append(Window(number, part, (*before, *ids[at : at + room], *after)))
    codes = []
    for window in windows:
        tokens = molehill.Tokens.of_ids([window.ids])
        table = made.encode(record(lm, tokens, [SITE])).dense()
        for place, token in enumerate(window.ids):
            if place < 1 or token in special:
                table[place] = 0
        codes.append(table.detach())
    return Dense(windows, codes)


def gathered(**changes) -> tuple[Gathered, dict[int, Window]]:
    """One pass, and the windows that it kept."""
    kept: dict[int, Window] = {}
    settings = Gathering(
        **{"top": 5, "sample": 7, "before": 6, "after": 3, "context": 20, "chunk": 150, **changes}
    )
    found = gather(village(), features(), texts(), settings, kept.__setitem__)
    return found, kept
