"""One pass against everything written out densely."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.features.made_examples import dense, features, gathered, texts, village

from molehill.errors import ConfigError, TextError
from molehill.features.gathering import Gathering, bin_edges, gather
from molehill.features.kept import Chances, Kept, Offer
from molehill.features.together import Together, add_one
from molehill.trace import record


@pytest.fixture(scope="module")
def found():
    return gathered()


@pytest.fixture(scope="module")
def values():
    """All tokens that were looked at [token, feature]."""
    return np.concatenate(
        [
            codes[1:][~np.isin(window.ids[1:], [*village().tokenizer.special_ids])]
            for window, codes in zip(
                dense().windows, (c.numpy() for c in dense().codes), strict=True
            )
        ]
    )


def test_counts_sums_and_spreads_are_those_of_the_dense_table(found, values):
    got = found[0]
    assert got.rows == len(values) and got.windows == len(dense().windows)
    assert got.texts == len(texts())
    np.testing.assert_array_equal(got.counts, (values > 0).sum(0))
    np.testing.assert_allclose(got.sums, values.sum(0), rtol=1e-4)
    np.testing.assert_allclose(got.largest, values.max(0), rtol=1e-4)
    assert (got.counts == 0).any() and (got.counts > 100).any(), "both kinds are in the test"
    for feature in range(len(got.counts)):
        own = values[values[:, feature] > 0, feature]
        low, high = own.astype(np.float64) * (1 - 1e-4), own.astype(np.float64) * (1 + 1e-4)
        edges = bin_edges()
        sure = np.searchsorted(edges, low) == np.searchsorted(edges, high)
        expected = np.histogram(own[sure], edges)[0]
        assert got.bins[feature].sum() == len(own) and (got.bins[feature] >= expected).all()


def test_tokens_and_places_are_counted(found):
    got, special = found[0], village().tokenizer.special_ids
    tokens, before, places = np.zeros_like(got.tokens), np.zeros_like(got.before), [0] * 20
    for window in dense().windows:
        for place, token in enumerate(window.ids):
            if place >= 1 and token not in special:
                tokens[token] += 1
                before[window.ids[place - 1]] += 1
                places[place] += 1
    np.testing.assert_array_equal(got.tokens, tokens)
    np.testing.assert_array_equal(got.before, before)
    assert got.positions.tolist() == places


def test_the_largest_are_the_largest_one_of_a_window(found):
    got, _ = found
    best: dict[int, dict[int, float]] = {}
    for feature, window, _, value in dense().active:
        mine = best.setdefault(feature, {})
        mine[window] = max(mine.get(window, 0.0), value)
    for feature in range(80):
        wanted = sorted(best.get(feature, {}).values(), reverse=True)[:5]
        places = got.top.of(feature)
        np.testing.assert_allclose(got.top.value[feature, places], wanted, rtol=1e-4)
        assert len(set(got.top.window[feature, places].tolist())) == len(wanted)


@pytest.mark.parametrize("chunk", [60, 100_000])
def test_the_sample_depends_on_the_seed_and_not_on_how_batches_are_cut(found, chunk):
    other, _ = gathered(chunk=chunk)
    another, _ = gathered(seed=1)
    chances = Chances(0)
    by_feature: dict[int, list[tuple[float, int, int]]] = {}
    for feature, window, place, _ in dense().active:
        chance = chances(*(np.array([one]) for one in (window, place, feature))).item()
        by_feature.setdefault(feature, []).append((chance, window, place))

    def kept(one, feature):
        places = one.sample.of(feature)
        windows, positions = (
            one.sample.window[feature, places],
            one.sample.position[feature, places],
        )
        return list(zip(windows.tolist(), positions.tolist(), strict=True))

    for feature in range(80):
        wanted = [place for _, *place in sorted(by_feature.get(feature, []))[:7]]
        for one in (found[0], other):
            assert kept(one, feature) == [tuple(place) for place in wanted]
    assert any(kept(another, feature) != kept(other, feature) for feature in range(80))


def test_chances_are_spread_evenly():
    numbers = np.arange(20_000)
    drawn = Chances(7)(numbers // 50, numbers % 50, numbers % 3)
    counts, _ = np.histogram(drawn, 20, range=(0, 1))
    # Chi-square with 19 degrees of freedom: 43.8 is passed once in a thousand.
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.03


def test_examples_have_their_tokens_and_the_values_around_them(found):
    got, windows = found
    for kept in (got.top, got.sample):
        for feature in range(80):
            for slot in kept.of(feature):
                window, place = int(kept.window[feature, slot]), int(kept.position[feature, slot])
                assert windows[window] == dense().windows[window]
                assert kept.token[feature, slot] == windows[window].ids[place]
                own = dense().codes[window][:, feature].numpy()
                wanted = np.zeros(10)
                for offset in range(10):
                    if 0 <= place - 6 + offset < len(own):
                        wanted[offset] = own[place - 6 + offset] / own[place]
                np.testing.assert_allclose(kept.around[feature, slot], wanted, rtol=2e-3, atol=2e-3)


def test_pairs_are_those_of_the_dense_table(found, values):
    active = (values > 0).astype(np.int64)
    together = found[0].together
    assert together.exact and together.every == 1 and together.rows == len(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.nan_to_num(np.corrcoef(active.T))
    for feature in range(80):
        np.testing.assert_array_equal(together.pairs_of(feature), (active.T @ active)[feature])
        mine = together.correlations(feature)
        np.testing.assert_allclose(mine, correlations[feature], atol=1e-9)
    most = int(np.argmax(active.sum(0)))
    first = together.partners(most, 3)[0]
    others = np.delete(correlations[most], most)
    assert first.correlation == pytest.approx(others.max())
    assert first.share == pytest.approx(
        (active.T @ active)[most, first.feature] / active[:, most].sum()
    )


def test_shared_counters_are_never_too_low_and_seldom_too_high():
    rng = np.random.default_rng(0)
    rows, count, k = 300, 5000, 6
    chosen = np.stack([rng.choice(count, k, replace=False) for _ in range(rows)])
    chosen[:150, :2] = 17, 4000
    together = Together(count)
    together.add(chosen.ravel(), np.arange(0, rows * k + 1, k), rng.random(rows))
    assert not together.exact and together.rows == rows
    exact = np.zeros(count)
    for row in chosen:
        if 17 in row:
            np.add.at(exact, row, 1)
    got = together.pairs_of(17)
    # About 600 others fill a share of 1 - exp(-600/1024) of a table's counters; both must be full.
    assert (got >= exact).all() and (got > exact).mean() < (1 - np.exp(-600 / 1024)) ** 2
    assert got[4000] < exact[4000] + 20
    assert together.partners(17, 2)[0].feature == 4000


def test_rows_with_very_many_features_are_counted_at_some_tokens_only():
    together = Together(300)
    rng = np.random.default_rng(1)
    features = np.tile(np.arange(200), 400)
    together.add(features, np.arange(0, 400 * 200 + 1, 200), rng.random(400))
    assert together.every == 10 and 15 < together.rows < 80
    assert (together.counts[:200] == together.rows).all()


def test_adding_ones_counts_places_named_twice_twice():
    table = np.zeros((2, 3), np.int32)
    add_one(table, np.array([5, 0, 5]))
    assert table.tolist() == [[1, 0, 0], [0, 0, 2]]


def test_equal_keys_leave_the_first_one():
    kept = Kept(2, 2, 1)

    def offer(features, keys, windows):
        number = np.array(features)
        zeros = np.zeros(len(number), np.int32)
        given = Offer(
            number,
            np.array(keys, np.float64),
            np.array(keys, np.float32),
            np.array(windows),
            zeros,
            zeros,
            lambda taken: np.ones((len(taken), 1)),
        )
        return kept.offer(given).tolist()

    assert sorted(offer([0, 0, 0, 1], [1.0, 3.0, 2.0, 9.0], [10, 11, 12, 13])) == [11, 12, 13]
    assert offer([0, 0], [2.0, 1.5], [14, 15]) == []
    assert offer([0, 1], [2.5, 1.0], [16, 17]) == [16, 17]
    assert kept.window[0, kept.of(0)].tolist() == [11, 16]
    assert kept.window[1, kept.of(1)].tolist() == [13, 17]


def test_memory_does_not_depend_on_the_texts(found):
    settings = found[0].settings
    more = gather(village(), features(), texts() * 3, settings, lambda number, window: None)
    assert more.nbytes == found[0].nbytes and more.rows == 3 * found[0].rows
    np.testing.assert_array_equal(more.counts, 3 * found[0].counts)


def test_it_stops_after_enough_tokens_with_a_whole_window():
    some, _ = gathered(most_tokens=50)
    rows = [len(codes) - 1 for codes in dense().codes]
    reached = next(at for at in range(len(rows)) if sum(rows[: at + 1]) >= 50)
    assert some.windows == reached + 1 and 50 <= some.rows <= sum(rows[: reached + 1])


def test_other_architectures_have_rows_of_any_length():
    made = features(80, "relu")
    got = gather(
        village(), made, texts()[:5], Gathering(context=20, sample=0), lambda number, window: None
    )
    lm, count = village(), torch.zeros(80, dtype=torch.int64)
    for window in [one for one in dense().windows if one.text < 5]:
        tokens = lm.encode("the").of_ids([window.ids])
        codes = made.encode(record(lm, tokens, made.reads)).dense()[1:]
        keep = [token not in lm.tokenizer.special_ids for token in window.ids[1:]]
        count += (codes[keep] > 0).sum(0)
    np.testing.assert_array_equal(got.counts, count)
    assert got.sample.of(0).tolist() == []


def test_what_cannot_be_is_said():
    with pytest.raises(ConfigError, match="top is 0, expected 1"):
        Gathering(top=0)
    with pytest.raises(TextError, match="no token to look at"):
        gather(village(), features(), [""], Gathering(), lambda number, window: None)
