"""Batches against plain lists: every window once an epoch, the same rows however divided."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molehill.errors import TextError
from molehill.text import PADDING, Corpus, HeldOut, Tokenizer, TokenStream, build_corpus
from molehill.text.permutation import mixed, permuted

TEXTS = [f"The mole number {number} dug {number % 7} tunnels." for number in range(400)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    """Two kinds of text in five shards or so."""
    tokenizer = Tokenizer.train(TEXTS, d_vocab=300)
    kinds = {"moles": lambda: TEXTS[:250], "others": lambda: TEXTS[250:]}
    folder = tmp_path_factory.mktemp("corpus") / "made"
    return build_corpus(kinds, folder, tokenizer=tokenizer, held_out=0.2, shard_tokens=1000)


@pytest.fixture(scope="module")
def flat(corpus) -> list[int]:
    """All training tokens, read with numpy alone, in the order of the manifest."""
    ids: list[int] = []
    for shard in corpus.shards:
        all_of_it = np.load(corpus.folder / "shards" / shard.tokens.name)
        ids += all_of_it[: sum(s.tokens for s in shard.sections if s.split == "train")].tolist()
    return ids


def places(flat: list[int], context: int) -> dict[tuple[int, ...], list[int]]:
    """Where each possible row begins."""
    found: dict[tuple[int, ...], list[int]] = {}
    for start in range(len(flat) - context):
        found.setdefault(tuple(flat[start : start + context + 1]), []).append(start)
    return found


# --- the order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [*range(1, 70), 255, 256, 257, 1000, 4097, 65_536, 100_003])
def test_an_order_names_every_place_once(size):
    for key in (0, 1, 2**63):
        keys = np.full(size, key, np.uint64)
        found = permuted(np.arange(size), size, keys)
        assert sorted(found.tolist()) == list(range(size))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_any_order_of_any_size_names_every_place_once(size, key):
    found = permuted(np.arange(size), size, np.full(size, key, np.uint64))
    assert np.bincount(found, minlength=size).tolist() == [1] * size


@settings(deadline=None, max_examples=60)
@given(st.integers(2**40, 2**62), st.integers(0, 2**64 - 1), st.data())
def test_an_order_too_large_to_list_stays_within_its_size_and_keeps_places_apart(size, key, data):
    chosen = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=50, unique=True))
    found = permuted(np.array(chosen), size, np.full(len(chosen), key, np.uint64))
    assert len(set(found.tolist())) == len(chosen)
    assert found.min() >= 0 and found.max() < size


def test_orders_of_different_keys_have_little_in_common():
    size = 10_000
    orders = [permuted(np.arange(size), size, np.full(size, key, np.uint64)) for key in range(4)]
    for one in range(4):
        # Two orders agree at one place on average; their steps are as large as chance makes them.
        assert all(np.sum(orders[one] == orders[other]) < 10 for other in range(one))
        assert np.abs(np.diff(orders[one])).mean() == pytest.approx(size / 3, rel=0.03)


def test_keys_of_one_call_do_not_disturb_one_another():
    index, keys = np.arange(100), (np.arange(100) % 3).astype(np.uint64)
    together = permuted(index, 100, keys)
    for key in range(3):
        alone = permuted(index, 100, np.full(100, key, np.uint64))
        assert (together == alone)[keys == key].all()


def test_mixing_follows_splitmix64():
    # The first numbers of splitmix64 from the state 0, as its authors' code prints them.
    assert int(mixed(0)[0]) == 0xE220A8397B1DCDAF
    assert int(mixed(0x9E3779B97F4A7C15)[0]) == 0x6E789E6AA1B965F4


# --- batches --------------------------------------------------------------------------------------


def test_an_epoch_has_every_window_of_its_cut_once(corpus, flat):
    context = 12
    stream = TokenStream(corpus, context=context, batch=1, seed=5)
    known = places(flat, context)
    offsets = []
    for epoch in range(4):
        rows = [
            tuple(stream.rows(epoch * stream.windows + number)[0].tolist())
            for number in range(stream.windows)
        ]
        starts = sorted(start for row in set(rows) for start in known[row])
        offset = next(
            offset
            for offset in range(context)
            if {offset + window * context for window in range(stream.windows)} <= set(starts)
        )
        cut = [
            tuple(flat[offset + at * context : offset + (at + 1) * context + 1])
            for at in range(stream.windows)
        ]
        assert sorted(cut) == sorted(rows)
        assert cut != rows, "in another order"
        offsets.append(offset)
    assert len(set(offsets)) > 1, "epochs are cut at other places"
    assert stream.windows == len(flat) // context - 1


def test_windows_cross_from_one_shard_into_the_next(corpus, flat):
    assert len(corpus.shards) > 3
    run = corpus.run("train")
    assert len(run) == len(flat)
    assert run.read(0, len(flat)).tolist() == flat


@pytest.mark.parametrize("batch", [1, 6, 100])
def test_the_batch_is_the_same_for_any_number_of_processes(corpus, batch):
    stream = TokenStream(corpus, context=16, batch=batch, seed=1)
    for step in (0, 3, 50, 10**6):
        whole = stream.rows(step)
        assert whole.shape == (batch, 17) and whole.dtype == torch.int64
        for world in (n for n in (1, 2, 3, 6, 50) if batch % n == 0):
            parts = [stream.rows(step, rank=rank, world=world) for rank in range(world)]
            assert torch.equal(torch.cat(parts), whole)


def test_a_batch_depends_on_the_seed_and_the_step_alone(corpus):
    def row(seed: int, step: int, folder=corpus.folder) -> list[list[int]]:
        return TokenStream(Corpus.open(folder), context=16, batch=4, seed=seed).rows(step).tolist()

    assert row(1, 7) == row(1, 7)
    assert row(1, 7) != row(2, 7)
    assert row(1, 7) != row(1, 8)


def test_rows_do_not_depend_on_how_they_are_batched(corpus):
    by_four = TokenStream(corpus, context=16, batch=4)
    by_six = TokenStream(corpus, context=16, batch=6)
    assert torch.equal(
        torch.cat([by_four.rows(step) for step in range(60)]),
        torch.cat([by_six.rows(step) for step in range(40)]),
    )


def test_the_documents_of_each_row_are_named(corpus):
    stream = TokenStream(corpus, context=40, batch=5, seed=3)
    decode = corpus.tokenizer.decode
    for step in (0, 11):
        for row, passages in zip(stream.rows(step).tolist(), stream.texts(step), strict=True):
            at = 0
            for passage in passages:
                first, last = passage.tokens
                assert first == at < last
                at = last
                own = TEXTS[passage.number - 1 + 250 * (passage.kind == "others")]
                piece = decode(row[first:last])
                assert piece.removesuffix("<|endoftext|>") in own
                assert own.startswith(passage.opening) and len(passage.opening) > 20
            assert at == len(row)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"context": 0}, "context is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"context": 100_000}, "need at least 200,000"),
        ({"split": "test"}, "no split 'test'"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(corpus, how, message):
    with pytest.raises(TextError, match=message):
        TokenStream(corpus, **{"context": 8, "batch": 4, **how})


def test_a_batch_that_cannot_be_divided_is_refused(corpus):
    stream = TokenStream(corpus, context=8, batch=4)
    with pytest.raises(TextError, match="4 rows cannot be divided among 3"):
        stream.rows(0, world=3)
    with pytest.raises(TextError, match="rank is 2"):
        stream.rows(0, rank=2, world=2)
    with pytest.raises(TextError, match="step is -1"):
        stream.rows(-1)


# --- held-out text --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["moles", "others", None])
@pytest.mark.parametrize("context", [1, 7, 64, 100_000])
def test_each_held_out_token_is_predicted_once_from_what_stands_before_it(corpus, kind, context):
    held = HeldOut.of(corpus, kind, context=context)
    eos = corpus.tokenizer.eos_id
    run = corpus.run("held_out", kind)
    wanted = [eos, *run.read(0, len(run)).tolist()]
    rows = torch.cat(list(held.rows(3)))
    targets = rows[:, 1:][rows[:, 1:] != PADDING].tolist()
    inputs = rows[:, :-1][rows[:, 1:] != PADDING].tolist()
    assert targets == wanted[1:]
    assert inputs == wanted[:-1]
    assert held.n_tokens == len(targets) == corpus.count("held_out", kind).tokens
    assert held.n_bytes == corpus.count("held_out", kind).bytes
    texts = corpus.tokenizer.decode(targets).split("<|endoftext|>")[:-1]
    assert set(texts) <= set(TEXTS) and held.n_documents == len(texts)
    assert held.n_bytes == sum(len(text.encode()) for text in texts)


@pytest.mark.parametrize("tokens", [1, 50, 333, 10**9])
def test_a_part_of_the_held_out_text_is_whole_documents(corpus, tokens):
    held = HeldOut.of(corpus, "moles", context=16, tokens=tokens)
    rows = torch.cat(list(held.rows(4)))
    targets = rows[:, 1:][rows[:, 1:] != PADDING].tolist()
    texts = corpus.tokenizer.decode(targets).split("<|endoftext|>")
    assert texts.pop() == ""
    assert held.n_tokens == len(targets)
    assert len(targets) <= tokens or held.n_documents == 1
    assert held.n_bytes == sum(len(text.encode()) for text in texts)
    more = HeldOut.of(corpus, "moles", context=16, tokens=held.n_tokens + 20)
    assert more.n_documents >= held.n_documents


@pytest.mark.parametrize("world", [2, 3, 4])
def test_held_out_batches_are_divided_too(corpus, world):
    held = HeldOut.of(corpus, None, context=16)
    whole = list(held.rows(12))
    parts = zip(*(held.rows(12, rank=rank, world=world) for rank in range(world)), strict=True)
    for one, part in zip(whole, parts, strict=True):
        assert torch.equal(torch.cat(part), one)
    with pytest.raises(TextError, match="12 rows"):
        next(held.rows(12, world=5))


def test_nothing_held_out_is_said(tmp_path):
    corpus = build_corpus({"a": lambda: TEXTS}, tmp_path / "c", d_vocab=300, held_out=0.0)
    stream = TokenStream(corpus, context=8, batch=2)
    with pytest.raises(TextError, match="No document of kind 'a' was held out"):
        stream.held_out("a")
    with pytest.raises(TextError, match="no text of kind 'b'; there is a"):
        stream.held_out("b")
