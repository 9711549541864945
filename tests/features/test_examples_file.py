"""The file: what was gathered comes back from it, whole or not at all."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.features.made_examples import dense, features, gathered, texts, village

from molehill.errors import CheckpointError, ConfigError, TextError
from molehill.features.dashboard import dashboard_batch
from molehill.features.effects import effects_of, nearest_features, reader_of_word
from molehill.features.examples_dashboard import bars, dashboard_run, quarters, shown_features
from molehill.features.examples_file import keep_label, open_examples, packed, unpacked
from molehill.features.examples_writing import write_examples
from molehill.features.finding import by_text, by_vector, by_word, read_vector
from molehill.features.gathering import Gathering, bin_edges
from molehill.features.labels import Label

SETTINGS = Gathering(top=5, sample=12, before=6, after=3, context=20, chunk=150)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("examples") / "made.db"
    write_examples(path, village(), features(), texts(), SETTINGS, named=["the village"])
    return path


@pytest.fixture
def opened(file):
    with open_examples(file) as examples:
        yield examples


def test_what_was_gathered_comes_back(opened):
    found, _ = gathered(sample=12)
    effects, lm = effects_of(village(), features(), 10), village()
    nearest = nearest_features(features().autoencoder.w_dec, 8)
    for number in (3, 40, 70, 79):
        one = opened.feature(number)
        assert one.count == found.counts[number]
        assert one.density == pytest.approx(found.counts[number] / found.rows)
        assert one.mean == pytest.approx(found.sums[number] / max(1, found.counts[number]))
        assert one.bins == tuple(found.bins[number].tolist())
        assert [token for token, _ in one.promoted] == effects.promoted[number].tolist()
        assert [other for other, _ in one.nearest] == nearest.features[number].tolist()
        partners = found.together.partners(number, 8)
        assert [other for other, _, _ in one.together] == [each.feature for each in partners]
        for kind, kept in (("top", found.top), ("sample", found.sample)):
            examples = opened.examples(number, kind)
            values = sorted(kept.value[number, kept.of(number)].tolist(), reverse=True)
            assert [each.value for each in examples] == pytest.approx(values)
            for each in examples:
                window = dense().windows[each.window]
                assert each.text == window.text
                assert each.tokens[each.at] == window.ids[each.position]
                first = each.position - each.at
                assert each.tokens == window.ids[first : first + len(each.tokens)]
                assert each.pieces == tuple(map(lm.tokenizer.piece, each.tokens))
                own = dense().codes[each.window][first : first + len(each.tokens), number]
                np.testing.assert_allclose(each.values, own, atol=3e-3 * max(1, each.value))
                assert (
                    each.word == lm.tokenizer.piece(window.ids[each.position]).lstrip("·").lower()
                )


def test_windows_are_there_once_and_their_words_can_be_searched(opened):
    numbers = {number for (number,) in opened.base.execute("SELECT number FROM windows")}
    assert numbers == {n for (n,) in opened.base.execute("SELECT DISTINCT window FROM examples")}
    found = {n for (n,) in opened.base.execute("SELECT rowid FROM words WHERE words MATCH 'mole'")}
    with_mole = {
        number
        for number, window in enumerate(dense().windows)
        if any(village().tokenizer.piece(token) == "·mole" for token in window.ids)
    }
    assert found == with_mole & numbers and found


def test_it_says_where_it_comes_from(opened):
    about = opened.about
    assert about["fingerprint"] == village().fingerprint and about["texts"] == len(texts())
    assert about["texts_named"] == ["the village"] and about["left_out"]["first"] == 1
    assert len(about["settings"]["texts_sha256"]) == 64 and about["pairs"]["exact"] is True


def test_random_features_are_drawn_by_seed_from_the_active_ones(opened):
    drawn = opened.random(10, seed=4)
    assert drawn == opened.random(10, seed=4) != opened.random(10, seed=5)
    active = np.flatnonzero(gathered()[0].counts)
    assert set(drawn) <= set(active.tolist()) and opened.random(999) == active.tolist()


def test_a_mistake_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "made.db"
    path.write_bytes(b"the old one")

    def stopping():
        yield from texts()[:20]
        raise TextError("stopped")

    with pytest.raises(TextError):
        write_examples(path, village(), features(), stopping(), replace(SETTINGS, chunk=60))
    assert [each.name for each in tmp_path.iterdir()] == ["made.db"]
    assert path.read_bytes() == b"the old one"
    write_examples(path, village(), features(), texts()[:3], SETTINGS)
    assert [each.name for each in tmp_path.iterdir()] == ["made.db"]
    with open_examples(path) as examples:
        assert examples.about["texts"] == 3


def test_another_label_is_kept_and_found(tmp_path, file):
    path = tmp_path / "made.db"
    path.write_bytes(file.read_bytes())
    keep_label(path, 40, Label("words of zeal", "endpoint", 0.75, 0.5, ("told",)))
    with open_examples(path) as examples:
        assert examples.feature(40).label.text == examples.labels()[40] == "words of zeal"
        assert by_word(examples, "zeal").named == (40,)


def test_what_is_no_such_file_is_refused(tmp_path, file):
    with pytest.raises(CheckpointError, match="There is no examples file"), open_examples("no.db"):
        pass
    text = tmp_path / "text.db"
    text.write_text("no database, and long enough to be taken for one" * 30)
    with pytest.raises(CheckpointError, match="damaged"), open_examples(text):
        pass
    other = tmp_path / "other.db"
    other.write_bytes(file.read_bytes())
    with sqlite3.connect(other) as base:
        base.execute("UPDATE about SET value = '\"something/9\"' WHERE name = 'kind'")
    with pytest.raises(CheckpointError, match="something/9"), open_examples(other):
        pass
    with pytest.raises(TextError, match="no feature 80"), open_examples(file) as examples:
        examples.feature(80)
    with pytest.raises(ConfigError, match="at most 256"):
        write_examples(other, village(), features(), [], Gathering(before=300))


def test_shares_are_packed_without_the_zeros():
    shares = np.zeros(33)
    shares[[0, 7, 32]] = 1.0, 0.25, 3.5
    assert len(packed(shares)) == 9
    np.testing.assert_array_equal(unpacked(packed(shares), 33), shares)


def test_quarters_hold_the_sample_by_value_and_bars_the_counts(opened):
    number = int(np.argmax(gathered()[0].counts))
    groups = quarters(opened.examples(number))
    assert [group.top for group in groups] == [True, False, False, False, False]
    values = [one.value for group in groups[1:] for one in group.examples]
    assert values == sorted(values, reverse=True) and len(values) == 12
    assert all(len(group.examples) == 3 for group in groups[1:])
    middles, heights = bars(opened.feature(number))
    assert sum(heights) == opened.feature(number).count and heights[0] and heights[-1]
    edges = bin_edges()
    place = int(np.searchsorted(edges, middles[0])) - 1
    assert edges[place] < middles[0] < edges[place + 1]


def test_dashboards_take_it(opened):
    shown = list(shown_features(opened, [40, 79]))
    made = dashboard_batch(features(), shown, dashboard_run(opened))
    first = made["features"][1]
    assert first["feature_index"] == 79 and first["dataset"] == "the village"
    tops = [one for one in first["activations"] if one["bin_min"] == -1]
    assert len(tops) == 5
    for one in tops:
        at = one["qualifying_token_index"]
        assert one["values"][at] == pytest.approx(max(one["values"]), rel=1e-3)
    json.dumps(made, allow_nan=False)


# --- finding --------------------------------------------------------------------------------------


def test_features_by_word_are_those_whose_examples_are_at_it(opened):
    found = by_word(opened, " Mole ", 80)
    wanted = {}
    for number in range(80):
        kinds = [opened.examples(number, kind) for kind in ("top", "sample")]
        shares = [sum(e.word == "mole" for e in each) / max(1, len(each)) for each in kinds]
        if any(shares):
            wanted[number] = pytest.approx(shares)
    assert {hit.feature: [hit.top, hit.sample] for hit in found.at} == wanted and wanted
    totals = [hit.top + hit.sample for hit in found.at]
    assert totals == sorted(totals, reverse=True)
    for hit in found.near:
        own = opened.examples(hit.feature, "top")
        near = [one for one in own if "·mole" in one.pieces[: one.at] and one.word != "mole"]
        assert hit.top == pytest.approx(len(near) / len(own))
    with pytest.raises(TextError, match="no word"):
        by_word(opened, " ")
    assert by_word(opened, 'qu"ote').at == ()


def test_features_by_text_are_those_of_the_dense_table(opened):
    text = texts()[4]
    (number,) = [n for n, window in enumerate(dense().windows) if window.text == 4][:1]
    window = dense().windows[number]
    short = village().decode(list(window.ids)).replace("<|endoftext|>", "").strip()
    assert text.startswith(short[:20])
    found = by_text(village(), features(), opened, short, 99)
    assert found.tokens == window.ids
    codes = dense().codes[number].numpy()
    assert {hit.feature for hit in found.hits} == set(np.flatnonzero(codes.any(0)).tolist())
    for hit in found.hits:
        np.testing.assert_allclose(hit.values, codes[:, hit.feature], rtol=1e-3, atol=1e-4)
        one = opened.feature(hit.feature)
        assert hit.value == pytest.approx(hit.values[hit.at]) and hit.value == max(hit.values)
        assert hit.times == pytest.approx(hit.value / one.mean, rel=1e-4)
        assert hit.rarity == pytest.approx(-np.log(one.density))
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)
    assert not found.looked_at[0] and found.looked_at[1]


def test_features_by_vector_are_those_of_all_cosines(tmp_path):
    made, vector = features(), torch.randn(96, generator=torch.Generator().manual_seed(0))
    table = made.autoencoder.w_dec.detach()
    cosines = torch.nn.functional.cosine_similarity(table, vector[None], dim=1)
    found = by_vector(made, vector, 4)
    assert [hit.feature for hit in found.hits] == cosines.topk(4).indices.tolist()
    assert [hit.cosine for hit in found.against] == pytest.approx(
        cosines.topk(4, largest=False).values.tolist(), rel=1e-4
    )
    draws = (
        torch.randn(400, 80, generator=torch.Generator().manual_seed(1)).amax(1).mean() / 96**0.5
    )
    assert found.chance == pytest.approx(draws.item(), rel=0.03)
    assert by_vector(made, table[7]).hits[0].feature == 7
    others = [hit.feature for hit in by_vector(made, table[7], 79, without=7).hits]
    cosines[7] = -2.0
    assert sorted(others) == [number for number in range(80) if number != 7]
    assert [h.feature for h in by_vector(made, vector, 5, without=7).hits] == (
        cosines.topk(5).indices.tolist()
    )
    assert by_vector(made, made.autoencoder.w_enc[9], rows=True).hits[0].feature == 9
    with pytest.raises(ConfigError, match="has 5 numbers"):
        by_vector(made, vector[:5])
    with pytest.raises(ConfigError, match="no direction"):
        by_vector(made, torch.zeros(96))
    assert reader_of_word(village(), made, 5).shape == (96,)


def test_a_vector_is_read_by_name(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "some.safetensors"
    save_file({"one": torch.arange(4.0)[None], "two": torch.ones(2, 2)}, path)
    assert read_vector(f"{path}:one").tolist() == [0, 1, 2, 3]
    with pytest.raises(CheckpointError, match="holds 2 tensors"):
        read_vector(path)
    with pytest.raises(CheckpointError, match="2 by 2, expected one vector"):
        read_vector(f"{path}:two")
