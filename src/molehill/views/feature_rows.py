"""Where journeys and features meet: a site's rows as features, and which features part two paths.

A journey takes other rows as plain tensors and features give them; neither knows the other. This
module draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from torch import Tensor

from molehill.errors import ConfigError, SiteError
from molehill.features.parts import FeatureParts, feature_parts
from molehill.features.trained import Features
from molehill.journey import Journey, Ledger, OtherRows, between, journeys
from molehill.journey.paths import uses_by_text
from molehill.language_model import LanguageModel
from molehill.model.sites import all_sites, parse_site
from molehill.trace import record
from molehill.views.words import enumerated, percent, significant

__all__ = [
    "feature_vector",
    "parting_features",
    "parts_of",
    "point_of",
    "rows_of_parts",
    "site_for",
]

_MOST_ROWS = 24
"""Features that are named for each pair; what the rest add up to stands beside them."""


def site_for(lm: LanguageModel, features: Features, at: str) -> str:
    """The last site that the features write and that has been reached at the point `at`.

    Raises:
        SiteError: none has.
    """
    order = all_sites(lm.config)
    reached = [
        site for site in features.writes if site in order and order.index(site) <= order.index(at)
    ]
    if not reached:
        raise SiteError(
            f"{features.name} writes {', '.join(features.writes)}, which has not been reached at "
            f"{at!r}: look at a later point, such as {point_of(features.writes[0])!r}."
        )
    return max(reached, key=order.index)


def point_of(site: str) -> str:
    """The first point of the stream that holds what stands at a site."""
    layer, name = parse_site(site)
    return f"{layer}.resid_post" if name in ("mlp.out", "attn.out") else site


def parts_of(
    lm: LanguageModel, features: Features, journey: Journey, site: str | None = None
) -> FeatureParts:
    """The vectors of a journey's tokens at a site of the features.

    Raises:
        ConfigError: features of another model.
    """
    features.check(lm)
    sites = list(dict.fromkeys((*features.reads, *features.writes)))
    # What the journey holds is taken from it: another pass may differ in its last bits.
    values = {each: journey.captured.values[each] for each in sites if each in _held(journey)}
    missing = [each for each in sites if each not in values]
    if missing:
        place = [list(journey.positions)]
        trace = record(lm, [journey.text], missing, positions=place, logits="none")
        values |= {each: trace[each][0].to(journey.captured.dtype) for each in missing}
    return feature_parts(features, values, site)


def _held(journey: Journey) -> set[str]:
    """Sites whose vectors the journey holds at the word."""
    return {site for site in journey.captured.values if parse_site(site)[1].startswith("resid_")}


def feature_vector(lm: LanguageModel, features: Features, number: int) -> Tensor:
    """What a feature adds at the first site that is written, for a value of one [d_model].

    Raises:
        ConfigError: features of another model, or a feature that they do not have.
    """
    features.check(lm)
    if not 0 <= number < features.n_features:
        raise ConfigError(
            f"{features.name} has no feature {number}: it has {features.n_features:,}, from 0."
        )
    return features.autoencoder.w_dec[number, : lm.config.d_model].detach()


def rows_of_parts(parts: FeatureParts) -> OtherRows:
    """As a journey takes them."""
    return OtherRows(
        parts.site, parts.name, parts.numbers, parts.values, parts.directions, parts.rest
    )


# --- which features part two paths ----------------------------------------------------------------


def parting_features(
    lm: LanguageModel,
    features: Features,
    word: str,
    sentences: Sequence[str],
    *,
    twice: bool = False,
    digits: int = 7,
) -> dict[str, Any]:
    """For every pair of sentences, the features in which the word's vectors differ, as data.

    The difference of two vectors is the sum of the differences of their features' values, by their
    directions, and of their errors; the bias falls away. A share is the projection on that
    difference, so that all shares add up to the distance.

    Raises:
        ConfigError: features of another model.
        TextError: the word is not in a sentence.
    """
    read = tuple(f"{text} {text}" for text in sentences) if twice else tuple(sentences)
    tokens = lm.encode(read)
    words = [some[-1] for some in uses_by_text(tokens, word, given=sentences)]
    followed = journeys(lm, tokens, words)
    parts = [parts_of(lm, features, journey) for journey in followed]
    site = parts[0].site
    point = point_of(site)
    books = [
        journey.ledger(point, rows=rows_of_parts(own))
        for journey, own in zip(followed, parts, strict=True)
    ]
    pairs = [_pair(a, b, books, parts, digits) for a, b in combinations(range(len(followed)), 2)]
    told: dict[str, Any] = {
        "name": features.name,
        "site": site,
        "point": point,
        "count": features.n_features,
        "error_shares": [significant(own.error_share, 4) for own in parts],
        "pairs": pairs,
    }
    return told | {"summary": _summary(told)}


def _pair(
    a: int, b: int, books: Sequence[Ledger], parts: Sequence[FeatureParts], digits: int
) -> dict[str, Any]:
    difference = between(books[a], books[b])
    distance = float(difference.vector.norm())
    reading = difference.toward(difference.vector / (distance or 1.0))
    rows = reading.top(_MOST_ROWS, kind="feature")
    kinds = sorted(reading.by("kind").items(), key=lambda entry: -abs(entry[1]))
    active = sum(len(part) for part in difference.parts if part.kind == "feature")
    own = [_values(parts[number]) for number in (a, b)]
    left = reading.by("kind").get("features", 0.0) - sum(row.toward for row in rows)
    return {
        "a": a + 1,
        "b": b + 1,
        "distance": significant(distance, digits),
        "closing_error": significant(difference.closing_error.relative, 3),
        "kinds": [
            {"name": name, "share": _share(value, distance)}
            for name, value in kinds
            if abs(value) > 1e-9 * distance
        ],
        "features": [
            {
                "feature": row.feature,
                "share": _share(row.toward, distance),
                "values": [significant(each.get(row.feature, 0.0), 5) for each in own],
                "cosine": significant(row.toward / row.norm if row.norm else 0.0, 4),
            }
            for row in rows
        ],
        "rest": _share(left, distance) if active > len(rows) else 0.0,
        "rest_count": active - len(rows),
    }


def _values(parts: FeatureParts) -> dict[int | None, float]:
    """Each feature's value, the mean over the tokens that carry the word."""
    means: Tensor = parts.values.mean(0)
    return dict(zip(parts.numbers.tolist(), means.tolist(), strict=True))


def _share(value: float, whole: float) -> float | None:
    return significant(value / whole, 4) if whole else None


def _summary(told: dict[str, Any]) -> list[str]:
    """The pair that is furthest apart, in a sentence."""
    pairs = [pair for pair in told["pairs"] if pair["features"] and pair["distance"]]
    if not pairs:
        return ["No feature parts any two of the sentences."]
    pair = max(pairs, key=lambda one: one["distance"])
    named = [f"{one['feature']} ({percent(one['share'])})" for one in pair["features"][:3]]
    shares = {kind["name"]: kind["share"] for kind in pair["kinds"]}
    features, error = shares.get("features", 0.0), shares.get("reconstruction error", 0.0)
    return [
        f"At {told['point']} sentences {pair['a']} and {pair['b']} are furthest apart; of that, "
        f"features of {told['name']} make {percent(features)} and what they leave unexplained "
        f"{percent(error)}. The largest are {enumerated(named)}."
    ]
