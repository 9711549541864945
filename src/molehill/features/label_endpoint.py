"""Labels from a language model behind an OpenAI-compatible endpoint, where somebody names one.

    endpoint = Endpoint("http://localhost:8000/v1", "some-model")
    label = endpoint_label(examples, 123, endpoint)

Nothing is sent unless this is called, and only to the address that was given: texts of examples,
each with its token marked, and the words that the feature promotes. A label is scored by asking
once more, for examples that were not shown, half of them of other features, at which ones it holds
(detection; Paulo et al. 2024, "Automatically Interpreting Millions of Features in Large Language
Models"). A key is taken from the environment variable MOLEHILL_ENDPOINT_KEY, and sent over https or
to this machine alone; redirects are not followed. This module knows no model of ours.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import numpy as np

from molehill.errors import ConfigError, TextError
from molehill.features.examples_file import Examples, KeptExample
from molehill.features.labels import Label

__all__ = ["KEY", "Endpoint", "endpoint_label"]

KEY = "MOLEHILL_ENDPOINT_KEY"
"""The environment variable that holds a key."""

_SHOWN, _ASKED = 10, 6
_LONGEST_ANSWER = 1 << 20
_LONGEST_LABEL = 120
_HERE = {"localhost", "127.0.0.1", "::1"}

_LABEL = (
    "These are excerpts from texts. In each, one unit of a neural network is most active at the "
    "word between « and ». Say in at most ten words what these places have in common: a word, a "
    "meaning, a kind of text, what comes before. Answer with that description only."
)
_CHECK = (
    "A unit of a neural network is said to be active at the word between « and » if the following "
    "holds: {label}\nWhich of the numbered excerpts does that hold for? Answer with their numbers "
    "only, with commas between, or with 'none'."
)


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, and for which model."""

    url: str
    """Up to and without `/chat/completions`."""
    model: str
    timeout: float = 60.0
    """Seconds."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"The endpoint {self.url!r} is no address: give one as http://localhost:8000/v1."
            )
        if os.environ.get(KEY) and parts.scheme == "http" and parts.hostname not in _HERE:
            raise ConfigError(
                f"{KEY} is set, and {self.url} is not encrypted: give an https address, or unset "
                "the key."
            )

    def ask(self, instruction: str, question: str) -> str:
        """One answer.

        Raises:
            ConfigError: no answer, an error, or something that is no answer.
        """
        body = {
            "model": self.model,
            "temperature": 0,
            "max_tokens": 200,
            "messages": [
                {"role": "system", "content": instruction},
                {"role": "user", "content": question},
            ],
        }
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {key}"
        address = f"{self.url.rstrip('/')}/chat/completions"
        asked = Request(address, json.dumps(body).encode(), headers, method="POST")
        try:
            with build_opener(_Stay).open(asked, timeout=self.timeout) as answer:
                raw = answer.read(_LONGEST_ANSWER)
        except HTTPError as error:
            raise ConfigError(f"{address} answered {error.code} ({error.reason}).") from None
        except (URLError, TimeoutError, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise ConfigError(f"{address} gives no answer: {reason}.") from None
        return _content(raw, address)


class _Stay(HTTPRedirectHandler):
    """Texts go where they were sent and nowhere else."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any):
        return None


def _content(raw: bytes, address: str) -> str:
    try:
        found = json.loads(raw)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        found = None
    if not isinstance(found, str):
        raise ConfigError(
            f"{address} answered with something else than a chat completion: "
            f"{raw[:80].decode('utf-8', 'replace')!r}."
        )
    return found


def endpoint_label(examples: Examples, number: int, endpoint: Endpoint, *, seed: int = 0) -> Label:
    """A feature's label in the model's words, scored on examples that it was not shown.

    Args:
        seed: which other features' examples stand among those that it is asked about, and in what
            order.

    Raises:
        TextError: no such feature, or one without examples.
        ConfigError: the endpoint gives no usable answer.
    """
    own = examples.examples(number)
    if len(own) < 4:
        raise TextError(f"Feature {number} has {len(own)} examples: too few to ask about.")
    feature = examples.feature(number)
    shown = own[::2][:_SHOWN]
    lines = [f"- {_marked(one)}" for one in shown]
    if feature.promoted:
        words = ", ".join(examples.pieces[token].lstrip("·") for token, _ in feature.promoted[:8])
        lines.append(f"Words that become likelier next: {words}")
    text = _clean(endpoint.ask(_LABEL, "\n".join(lines)))
    if not text:
        raise ConfigError(f"{endpoint.model} gave an empty label for feature {number}.")
    score, asked = _score(examples, own[1::2], number, endpoint, text, seed)
    told = (
        f"In the words of {_clean(endpoint.model)}; of {asked} excerpts that it was not shown, "
        f"half of them of other features, it told {score:.0%} rightly apart (by chance 50%)."
    )
    return Label(text, "endpoint", score, 0.5, (told,))


def _score(
    examples: Examples,
    held: Sequence[KeptExample],
    number: int,
    endpoint: Endpoint,
    label: str,
    seed: int,
) -> tuple[float, int]:
    """The share of excerpts of which it is told rightly whether they are the feature's."""
    rng = np.random.default_rng(seed)
    mine = [held[one] for one in rng.permutation(len(held))[:_ASKED]]
    others = [other for other in examples.random(4 * _ASKED, seed) if other != number]
    theirs: list[KeptExample] = []
    for other in others:
        found = examples.examples(other, "top")
        if found and len(theirs) < len(mine):
            theirs.append(found[0])
    cases = [(one, True) for one in mine] + [(one, False) for one in theirs]
    cases = [cases[place] for place in rng.permutation(len(cases))]
    lines = [f"{place}. {_marked(one)}" for place, (one, _) in enumerate(cases, start=1)]
    answer = endpoint.ask(_CHECK.format(label=label), "\n".join(lines))
    said = {int(one) for one in re.findall(r"\d{1,3}", answer)}
    right = [(place in said) == is_mine for place, (_, is_mine) in enumerate(cases, start=1)]
    return sum(right) / len(right), len(right)


def _marked(example: KeptExample) -> str:
    """The text with its token between « and »."""
    spaced = any(piece.startswith("·") for piece in example.pieces)
    parts = []
    for place, piece in enumerate(example.pieces):
        plain = piece.lstrip("·").removeprefix("##").replace("⏎", " ") or " "
        gap = " " if piece.startswith("·") or not (spaced or piece.startswith("##")) else ""
        parts.append(gap + (f"«{plain}»" if place == example.at else plain))
    return "".join(parts).strip()


def _clean(text: str) -> str:
    """One line that can be shown."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line.strip("\"'“”")[:_LONGEST_LABEL]
