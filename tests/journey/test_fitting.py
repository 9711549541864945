"""Sentences that are longer than a model reads are cut around their word, and say so."""

from __future__ import annotations

import pytest
import torch

import molehill
from molehill.errors import TextError
from molehill.journey.fitting import fit
from molehill.journey.gather import gather


@pytest.fixture(scope="module")
def lm():
    return molehill.load("village")


SHORT = "By the lawn the mole digs."


def long_text(before: int, after: int) -> tuple[str, tuple[int, int]]:
    """So many sentences around one with a mole, and the mole's place."""
    start = f"{SHORT} " * before
    text = f"{start}{SHORT} " + f"{SHORT} " * after
    at = len(start) + SHORT.index("mole")
    return text.strip(), (at, at + 4)


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (20, 0), (0, 20), (20, 20)])
def test_what_is_kept_fits_and_stands_around_the_word(lm, before, after, ahead):
    text, place = long_text(before, after)
    limit = lm.config.n_ctx
    found = fit(lm.tokenizer, [text], [place], limit, ahead=ahead)
    (kept,), ((start, end),) = found.texts, found.places
    length = lm.encode([text], truncate=True).dropped[0] + limit if found.cut else 0
    assert found.cut == (before + after > 0) and (not found.cut or length > limit)
    assert kept in text and kept[start:end] == "mole"
    size = len(lm.tokenizer.ids([kept])[0])
    assert size <= limit
    if found.cut:
        assert size > limit - 8 or (before == 0 and not ahead), "more could have been kept"
        if not ahead:
            assert kept.endswith("mole")
        elif before and after:
            assert abs(start - (len(kept) - end)) < 40


def test_vectors_of_a_cut_sentence_are_those_of_what_was_kept(lm):
    text, place = long_text(20, 3)
    found = gather(lm, [text, SHORT], [place, (16, 20)])
    assert found.cut == 1
    fitted = fit(lm.tokenizer, [text], [place], lm.config.n_ctx, ahead=False)
    alone = gather(lm, list(fitted.texts), list(fitted.places))
    assert alone.cut == 0
    torch.testing.assert_close(found.vectors[0], alone.vectors[0], rtol=1e-5, atol=1e-5)
    twice = gather(lm, [text], [place], twice=True)
    assert twice.cut == 1 and twice.vectors.isfinite().all()


def test_a_word_that_does_not_fit_is_told(lm):
    text = "mole " * 100
    with pytest.raises(TextError, match="limit is 64"):
        gather(lm, [text], [(0, 490)])
