"""Edits against changes made by hand in a transformer written out by hand, and as values."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trace import plain_transformer
from tests.trace.small_families import build

from molehill.errors import CheckpointError, SiteError
from molehill.model import KVCache, all_sites
from molehill.model.generate import generate
from molehill.text import Tokens
from molehill.trace import (
    Add,
    Editing,
    Patch,
    Replace,
    Scale,
    Zero,
    load_edits,
    record,
    save_edits,
    site_axes,
)

TEXTS = [[3, 1, 4, 1, 5, 9, 2], [6, 5, 3], [5, 8, 9, 7, 9]]
MODELS = {name: build(name) for name in ("gpt2", "neox", "llama", "gemma2", "bert", "notes")}


@pytest.fixture
def llama():
    return build("llama")


# --- by hand --------------------------------------------------------------------------------------


def by_hand(edit, site, x, text, source=None):
    """One text's value [pos, ...] or [head, query, key], changed entry by entry."""
    if edit.texts is not None and text not in edit.texts:
        return x
    axes = site_axes(site)[1:]
    length = x.shape[axes.index("query" if "query" in axes else "pos")]
    named = {"pos": edit.positions, "head": edit.heads, axes[-1]: edit.index}
    named |= {"query": edit.positions, "kv_head": edit.heads}
    choices = []
    for axis, size in zip(axes, x.shape, strict=True):
        chosen = range(size) if named.get(axis) is None else named[axis]
        counted = axis in ("pos", "query", "key")
        choices.append([place + length if counted and place < 0 else place for place in chosen])
    value = None if source is not None else edit.amount
    row = 0 if edit.texts is None else edit.texts.index(text)
    row = text if edit.texts is None else row
    x = x.clone()
    for numbers in torch.cartesian_prod(*(torch.arange(len(c)) for c in choices)).tolist():
        place = tuple(choice[number] for choice, number in zip(choices, numbers, strict=True))
        own = source[place] if source is not None else at_broadcast(value, (row, *numbers))
        change = {"Zero": 0.0, "Replace": own, "Patch": own}
        change |= {"Add": x[place] + own, "Scale": x[place] * own}
        x[place] = change[type(edit).__name__]
    return x


def at_broadcast(value, place):
    if not isinstance(value, torch.Tensor):
        return value
    own = place[len(place) - value.ndim :]
    return value[tuple(0 if size == 1 else at for at, size in zip(own, value.shape, strict=True))]


@st.composite
def edits_of(draw, config, places):
    site, axes = draw(st.sampled_from(places))
    sizes = {"head": config.n_heads, "kv_head": config.kv_heads, "d_model": 12, "d_head": 4}
    sizes |= {"d_mlp": 20, "one": 1}

    def some(values, *, unless=False):
        if unless or draw(st.booleans()):
            return None
        return tuple(draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)))

    heads = next((axis for axis in axes if axis in ("head", "kv_head")), None)
    where = {
        "texts": some(range(3)),
        # 0, 1 and the last are three different tokens of every text.
        "positions": some([0, 1, -1]),
        "heads": some(range(sizes.get(heads, 1)), unless=heads is None),
        "index": some([0, -1] if axes[-1] == "key" else range(sizes[axes[-1]])),
    }
    kind = draw(st.sampled_from([Zero, Replace, Add, Scale]))
    steady = site.endswith("scale")  # a divisor of zero helps nobody
    if kind is Zero and not steady:
        return Zero, (site,), where
    low, high = (0.5, 2.0) if steady else (-2.0, 2.0)
    number = st.floats(low, high, allow_nan=False)
    kind = Scale if kind is Zero else kind
    if draw(st.booleans()):
        return kind, (site, draw(number)), where
    names = {"batch": "texts", "pos": "positions", "query": "positions", axes[-1]: "index"}
    names |= {"head": "heads", "kv_head": "heads"}
    full = {**sizes, "batch": 3, "pos": 7, "query": 7, "key": 1}
    shape = [full[a] if where[names[a]] is None else len(where[names[a]]) for a in axes]
    shape = [1 if draw(st.booleans()) else size for size in shape]
    while len(shape) > 1 and shape[0] == 1 and draw(st.booleans()):
        shape = shape[1:]
    seed = draw(st.integers(0, 1000))
    noise = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return kind, (site, low + (high - low) * noise), where


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_stacked_edits_equal_the_same_changes_made_by_hand(data):
    model = MODELS[data.draw(st.sampled_from(sorted(MODELS)))]
    places = [(site, site_axes(site)) for site in all_sites(model.config) if site != "logits"]
    drawn = data.draw(st.lists(edits_of(model.config, places), min_size=1, max_size=3))
    edits = [kind(*given, **where) for kind, given, where in drawn]
    size = data.draw(st.sampled_from([None, 1, 2]))
    tokens = Tokens.of_ids(TEXTS)
    trace = record(model, tokens, ["resid_post"], edits=edits, logits="all", batch_size=size)
    for text, ids in enumerate(TEXTS):

        def change(site, x, text=text):
            for edit in edits:
                if edit.site == site:
                    x = by_hand(edit, site, x, text)
            return x

        plain = plain_transformer.run(model, ids, change)
        for site, value in trace.values.items():
            own = value[text, : len(ids)]
            torch.testing.assert_close(own, plain[site], rtol=1e-8, atol=1e-8)


def test_edits_of_one_site_are_applied_in_their_order(llama, tokens):
    vector = torch.arange(12, dtype=torch.float64)
    first = [Add("0.resid_post", vector), Scale("0.resid_post", 2.0)]
    a, b = (record(llama, tokens, ["resid_post"], edits=e) for e in (first, first[::-1]))
    difference = (a["0.resid_post"] - b["0.resid_post"])[tokens.mask]
    torch.testing.assert_close(difference, vector.expand(15, 12))


def test_a_pattern_edits_every_site_that_it_names(llama, tokens):
    trace = record(llama, tokens, ["mlp.out", "embed", "final"], edits=[Zero("mlp.out")])
    assert not trace.site("mlp.out")[:, tokens.mask].any()
    by_alias = record(llama, tokens, ["final"], edits=[Zero("blocks.*.hook_mlp_out")])
    assert torch.equal(by_alias["final"], trace["final"])


def test_edits_of_the_last_values_reach_the_logits(llama, tokens):
    bare = record(llama, tokens, ["final"]).logits
    edits = [Scale("logits", 2.0, texts=[1]), Add("logits", 1.0, positions=[-1], index=[4])]
    changed = record(llama, tokens, edits=edits).logits
    expected = bare.clone()
    expected[1] *= 2
    expected[..., 4] += 1
    torch.testing.assert_close(changed, expected)
    silent = record(llama, tokens, edits=[Zero("final", positions=[0])]).logits
    assert torch.equal(silent, bare)
    watch = Editing([Zero("final", positions=[-1])], llama.config)
    with torch.no_grad():
        last = llama(tokens.ids, mask=tokens.mask, watch=watch, logits="last").logits
    assert not last.any()


# --- patches --------------------------------------------------------------------------------------


def test_patching_a_whole_layer_gives_the_other_run(model):
    ours = Tokens.of_ids([[3, 1, 4, 1, 5], [2, 7, 1]])
    theirs = Tokens.of_ids([[9, 2, 6, 5, 3], [5, 8, 9]])
    for site in ("0.resid_post", "1.resid_pre"):
        other = record(model, theirs, [site, "final"], logits="all")
        patched = record(model, ours, ["final"], edits=[Patch(site, other)], logits="all")
        for text, length in enumerate([5, 3]):
            a, b = patched["final"][text, :length], other["final"][text, :length]
            assert torch.equal(a, b)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_patches_put_the_traces_values_where_they_say(data):
    model = MODELS[data.draw(st.sampled_from(["llama", "gpt2", "gemma2"]))]
    kinds = ["resid_mid", "attn.k", "attn.mix", "mlp.act", "attn.pattern", "attn.scores"]
    site = f"{data.draw(st.integers(0, 1))}.{data.draw(st.sampled_from(kinds))}"
    source_ids = [[7, 7, 2, 8, 1, 6, 4], [2, 4, 6], [8, 6, 4, 2, 0]]
    given_positions = data.draw(st.sampled_from([None, [0, -1], [1]]))
    keys = "key" in site_axes(site)
    taken = None
    if given_positions is not None:
        taken = data.draw(st.sampled_from([None, [2, 1][: len(given_positions)], [-2]]))
    kept = data.draw(st.sampled_from([None, [0, 1, 2, -1, -2]]))
    source = record(model, Tokens.of_ids(source_ids), [site], positions=kept, logits="none")
    if given_positions is None and kept is not None:
        source = record(model, Tokens.of_ids(source_ids), [site], positions=[1, -1], logits="none")
    text = data.draw(st.sampled_from([None, [0], [2, 1]]))
    index = data.draw(st.sampled_from([None, [0, -1] if keys else [1, 3]]))
    edit = Patch(
        site, source, positions=given_positions, from_positions=taken, texts=text, index=index
    )
    trace = record(model, Tokens.of_ids(TEXTS), [site, "final"], edits=[edit], logits="none")
    for row, ids in enumerate(TEXTS):
        values = plain_transformer.run(model, source_ids[row])[site]
        length = len(ids)
        places = given_positions
        if places is None:
            places = range(length) if kept is None else [1, -1]
        places = [p % length for p in places]
        froms = places if taken is None else [p % length for p in taken] * len(places)
        lined = values.clone()
        for place, other in zip(places, froms, strict=False):
            to, at = ((slice(None), p) if keys else (p,) for p in (place, other))
            lined[to] = values[at]
        shown = dataclasses.replace(edit, positions=places)

        def change(name, x, row=row, lined=lined, shown=shown):
            return by_hand(shown, site, x, row, source=lined) if name == site else x

        plain = plain_transformer.run(model, ids, change)
        torch.testing.assert_close(trace["final"][row, :length], plain["final"])


def test_one_text_can_be_patched_into_all(llama, tokens):
    other = record(llama, Tokens.of_ids([[9, 9, 8, 7]]), ["resid_mid"], logits="none")
    edit = Patch("0.resid_mid", other, positions=[-1], from_positions=[2])
    trace = record(llama, tokens, ["0.resid_mid"], edits=[edit])
    for text in range(3):
        assert torch.equal(trace.at(text, -1, "0.resid_mid"), other.at(0, 2, "0.resid_mid"))
        assert not torch.equal(trace.at(text, 0, "0.resid_mid"), other.at(0, 0, "0.resid_mid"))


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({}, "text 0 has 7 tokens and the trace's text 0 has 4: say positions"),
        ({"positions": [0, 5]}, "no position 5"),
        ({"from_text": 3}, "text 3 and the trace has 1 texts"),
        ({"positions": [0, 1], "from_positions": [9, 1]}, "no position 9"),
    ],
)
def test_patches_that_do_not_fit_are_refused(llama, tokens, where, said):
    other = record(llama, Tokens.of_ids([[9, 9, 8, 7]]), ["resid_mid"], logits="none")
    with pytest.raises(SiteError, match=said):
        record(llama, tokens, edits=[Patch("0.resid_mid", other, **where)])


def test_a_patch_needs_a_source_position_for_each(llama, tokens):
    trace = record(llama, tokens, ["embed"])
    with pytest.raises(SiteError, match="3 positions and 2 from_positions"):
        Patch("embed", trace, positions=[0, 1, 2], from_positions=[0, 1])


def test_patches_name_what_the_trace_lacks(llama, tokens):
    some = record(llama, tokens, ["0.resid_mid"], positions=[0], logits="none")
    with pytest.raises(SiteError, match=r"'1\.resid_mid' is not in the trace"):
        record(llama, tokens, edits=[Patch("1.resid_mid", some)])
    with pytest.raises(SiteError, match="position 2 of the trace's text 0 was not recorded"):
        record(llama, tokens, edits=[Patch("0.resid_mid", some, positions=[2])])
    narrow = build("llama", d_model=8)
    with pytest.raises(SiteError, match=r"shape \(3, 1, 12\) and this model \(batch, pos, 8\)"):
        record(narrow, tokens, edits=[Patch("0.resid_mid", some)])
    half = some.to(torch.float32)
    with pytest.raises(SiteError, match=r"float32 .* is torch.float64"):
        record(llama, tokens, edits=[Patch("0.resid_mid", half)])


# --- mistakes -------------------------------------------------------------------------------------

FLOATS = torch.float64


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (Zero("0.resid_pots"), "'0.resid_pots'.*0.resid_post"),
        (Zero("0.attn.mix", heads=[4]), "heads 4 at '0.attn.mix', where there are 4"),
        (Zero("0.attn.k", heads=[2]), "heads 2 at '0.attn.k', where there are 2"),
        (Zero("0.resid_mid", heads=[0]), "'0.resid_mid' has no heads"),
        (Zero("0.mlp.act", index=[20]), "index 20 at '0.mlp.act', where there are 20"),
        (Zero("0.mlp.act", texts=[3]), "texts 3 at '0.mlp.act', where there are 3"),
        (Zero("0.mlp.act", positions=[3]), "Text 1 has 3 tokens and no position 3"),
        (Zero("0.mlp.act", positions=[2, -1]), "text 1 of 3 tokens two of these positions"),
        (Zero("0.mlp.act", during="generated"), "writes no tokens"),
        (
            Add("0.mlp.out", torch.ones(5, dtype=FLOATS)),
            r"'0.mlp.out' the value has shape \(5,\) and the selection \(texts, positions, 12\)",
        ),
        (
            Add("0.attn.mix", torch.ones(4, 4, dtype=FLOATS), heads=[1, 2]),
            r"shape \(4, 4\) and the selection \(texts, positions, 2, 4\)",
        ),
        (Add("0.mlp.out", torch.ones(4, 1, 1, dtype=FLOATS)), r"\(4, 1, 1\).*There are 3 texts"),
        (Add("0.mlp.out", torch.ones(5, 12, dtype=FLOATS)), r"\(5, 12\).*up to 7 tokens"),
        (Add("0.mlp.out", torch.ones(12)), "float32 and '0.mlp.out' is torch.float64"),
        (
            Add("0.attn.pattern", torch.ones(5, dtype=FLOATS)),
            r"shape \(5,\) and the selection \(texts, 4, positions, 7\)",
        ),
    ],
)
def test_a_mistake_names_site_and_shapes_and_leaves_nothing_behind(llama, tokens, edit, said):
    before = record(llama, tokens, ["*"], logits="all")
    with pytest.raises(SiteError, match=said):
        record(llama, tokens, ["*"], edits=[Zero("0.resid_mid", index=[3]), edit], logits="all")
    after = record(llama, tokens, ["*"], logits="all")
    assert all(torch.equal(before[site], after[site]) for site in before.values)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Zero("embed", index=[1, 1]), "twice"),
        (lambda: Add("embed", torch.arange(3)), "int64"),
    ],
)
def test_values_that_mean_nothing_are_refused_at_once(make, said):
    with pytest.raises(SiteError, match=said):
        make()


def test_an_edit_that_breaks_in_the_middle_of_a_pass_leaves_nothing_behind(llama, tokens):
    class Broken(Add):
        def change(self, x, value):
            raise RuntimeError("broken")

    before = record(llama, tokens, ["*"])
    with pytest.raises(RuntimeError, match="broken"):
        record(llama, tokens, edits=[Broken("1.mlp.out", 1.0)])
    after = record(llama, tokens, ["*"])
    assert all(torch.equal(before[site], after[site]) for site in before.values)
    assert torch.is_grad_enabled()


def test_two_threads_with_different_edits_do_not_meet(llama, tokens):
    sites = ["resid_post"]
    edits = [[Scale("0.mlp.out", float(n)), Zero("1.attn.mix", heads=[n % 4])] for n in range(6)]
    alone = [record(llama, tokens, sites, edits=one) for one in edits]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(5):
            together = list(pool.map(lambda one: record(llama, tokens, sites, edits=one), edits))
            for a, b in zip(alone, together, strict=True):
                assert all(torch.equal(a[site], b[site]) for site in a.values)


# --- in generation --------------------------------------------------------------------------------


def written(model, ids, mask, edits, steps=4):
    watch = Editing(edits, model.config) if edits else None
    stream = generate(model, ids, mask, max_new_tokens=steps, watch=watch)
    return torch.stack([step.ids for step in stream], dim=1)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
@pytest.mark.parametrize("during", ["all", "prompt", "generated"])
def test_edits_go_on_in_generation_as_if_the_whole_text_were_read_anew(family, during):
    model = build(family)
    tokens = Tokens.of_ids([[3, 1, 4, 1, 5], [6, 5, 3]])
    vector = torch.linspace(-3, 3, 12, dtype=torch.float64)
    edits = [
        Add("0.resid_post", vector, during=during),
        Zero("1.attn.pattern", heads=[1], index=[0], during=during),
    ]
    ids = written(model, tokens.ids, tokens.mask, edits)
    assert not torch.equal(ids, written(model, tokens.ids, tokens.mask, []))
    # The other way: texts of growing length, each read from the start without a cache.
    for text in range(2):
        row, prompt = tokens.row(text), len(tokens.row(text))
        for token in ids[text].tolist():
            now = torch.tensor([row])
            begun = torch.ones(1, prompt, dtype=torch.bool)
            watch = Editing(edits, model.config, prompt=begun)
            with torch.no_grad():
                assert model(now, watch=watch).logits[0, -1].argmax() == token
            row = [*row, token]


def test_positions_count_from_the_end_of_the_prompt_while_texts_grow(llama):
    tokens = Tokens.of_ids([[3, 1, 4, 1, 5], [6, 5, 3]])
    watch = Editing([Replace("0.resid_post", 7.0, positions=[-1, 6])], llama.config)
    cache = KVCache(llama.config, 2, 12, dtype=torch.float64)
    seen = []

    class Look:
        def begin(self, positions, real):
            watch.begin(positions, real)

        def wants(self, site):
            return site == "0.resid_post"

        def __call__(self, site, x):
            seen.append((watch(site, x) == 7.0).all(-1))
            return x

    with torch.no_grad():
        llama(tokens.ids, mask=tokens.mask, cache=cache, watch=Look())
        for _ in range(4):
            llama(torch.tensor([[1], [2]]), cache=cache, watch=Look())
    assert seen[0].tolist() == [[False] * 4 + [True], [False, False, True, False, False]]
    # Positions 5, 6, 7, 8 of the first text and 3, 4, 5, 6 of the second.
    assert torch.cat(seen[1:], dim=1).tolist() == [
        [False, True, False, False],
        [False, False, False, True],
    ]


def test_a_patch_of_the_prompt_leaves_what_is_written_alone(llama):
    tokens = Tokens.of_ids([[3, 1, 4, 1, 5], [6, 5, 3]])
    source = record(llama, Tokens.of_ids([[9, 9, 8, 8, 7], [1, 2, 4]]), ["*"], logits="none")
    edits = [Patch(f"{layer}.{kv}", source) for layer in range(2) for kv in ("attn.k", "attn.v")]
    edits += [Patch("1.resid_post", source)]
    other = written(llama, source.tokens.ids, source.tokens.mask, [])
    assert torch.equal(written(llama, tokens.ids, tokens.mask, edits), other)


def test_keys_of_the_past_are_needed_to_name_keys(llama):
    cache = KVCache(llama.config, 1, 8, dtype=torch.float64)
    with torch.no_grad():
        llama(torch.tensor([[1, 2, 3]]), cache=cache)
        watch = Editing([Zero("0.attn.pattern", index=[0])], llama.config)
        with pytest.raises(SiteError, match="from its first token on"):
            llama(torch.tensor([[4]]), cache=cache, watch=watch)


def test_one_editing_serves_one_run(llama, tokens):
    watch = Editing([Zero("0.mlp.out")], llama.config)
    with torch.no_grad():
        llama(tokens.ids[:1], watch=watch)
        with pytest.raises(SiteError, match="began with 1 texts and goes on with 3"):
            llama(tokens.ids, watch=watch)


# --- gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [{}, {"positions": [-1]}, {"index": [3], "texts": [0]}])
@pytest.mark.parametrize("kind", [Replace, Add, Scale])
def test_what_is_put_in_can_be_learned(llama, tokens, kind, where):
    size = 1 if "index" in where else 12
    start = torch.full((size,), 0.5, dtype=torch.float64, requires_grad=True)

    def score(value):
        trace = record(llama, tokens, edits=[kind("0.resid_mid", value, **where)], grad=True)
        return trace.logits[:, 0, 5].sum()

    assert torch.autograd.gradcheck(score, (start,))


def test_gradients_flow_through_an_edited_value(llama, tokens):
    edits = [Scale("1.resid_pre", 3.0, positions=[0, -1])]
    trace = record(llama, tokens, ["0.resid_post", "1.resid_pre"], edits=edits, grad=True)
    grads = trace.gradients(trace.logits[0, 0, 5])
    torch.testing.assert_close(grads["0.resid_post"][0, -1], 3 * grads["1.resid_pre"][0, -1])
    torch.testing.assert_close(grads["0.resid_post"][0, 3], grads["1.resid_pre"][0, 3])


# --- as values ------------------------------------------------------------------------------------


def some_edits(llama):
    source = record(llama, Tokens.of_ids([[9, 9, 8, 7]]), ["*"], positions=[1, -1])
    return [
        Zero("5.attn.mix", heads=[3]),
        Replace("*.resid_post", 0.5, positions=[-1, 2], texts=[1], during="prompt"),
        Add("0.mlp.out", torch.linspace(0, 1, 12, dtype=torch.bfloat16), index=range(12)),
        Scale("blocks.0.mlp.hook_post", torch.tensor(2.0), during="generated"),
        Patch("*.resid_mid", source, positions=[0, 1], from_positions=[1, -1], from_text=0),
    ]


def test_edits_are_saved_and_read_back_in_their_order(llama, tmp_path):
    edits = some_edits(llama)
    save_edits(tmp_path / "edits.safetensors", edits)
    found = load_edits(tmp_path / "edits.safetensors")
    assert list(found) == edits
    assert [str(edit) for edit in found] == [str(edit) for edit in edits]
    assert sorted(found[-1].source.values) == ["0.resid_mid", "1.resid_mid"]
    with pytest.raises(CheckpointError, match=r"holds 'molehill\.edits/1', expected"):
        type(found[-1].source).load(tmp_path / "edits.safetensors")


def test_edits_are_equal_if_they_do_the_same(llama):
    for a, b in zip(some_edits(llama), some_edits(llama), strict=True):
        assert a == b and hash(a) == hash(b) and a is not b
    assert len(set(some_edits(llama))) == 5
    vector = torch.ones(3)
    assert Add("embed", vector) != Add("embed", vector + 1)
    assert Add("embed", vector) != Replace("embed", vector)
    assert Add("embed", vector) != Add("embed", vector.double())
    assert Zero("embed") != Zero("embed", positions=[0])
    assert Zero("embed", positions=[0]) == Zero("embed", positions=[0])
    assert Zero("embed") != "embed"
    with pytest.raises(dataclasses.FrozenInstanceError):
        Zero("embed").site = "final"


def test_edits_can_be_read_by_people(llama):
    zero, replace, add, scale, patch = some_edits(llama)
    assert str(zero) == "zero 5.attn.mix, head 3"
    said = "replace *.resid_post with 0.5, positions -1, 2, text 1, prompt tokens only"
    assert str(replace) == said
    assert str(add).startswith("add 0.mlp.out plus bfloat16[12]#")
    assert str(add).endswith("entries 0, 1, 2, 3, 4, 5, 6, 7, ...")
    assert str(scale).startswith("scale blocks.0.mlp.hook_post by float32[]#")
    assert "patch *.resid_mid from text 0 of a trace of a transformer" in str(patch)
    assert repr(zero) == "Zero('5.attn.mix', heads=[3])"
    assert repr(replace).startswith("Replace('*.resid_post', 0.5, positions=[-1, 2]")
