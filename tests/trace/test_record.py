"""record: every site of every family against a transformer written out by hand, and what is
kept."""

from __future__ import annotations

import pytest
import torch
from tests.trace import plain_transformer
from tests.trace.small_families import build

from molehill.errors import SiteError, TextError
from molehill.model import KVCache, all_sites
from molehill.text import Tokens
from molehill.text.tokens import Occurrence
from molehill.trace import record, site_axes

SELDOM = ("scale", "scores", "pattern", "result")  # watching these takes another way to them


def cut(site, value, length):
    """A text's own part of a padded value."""
    return value[:, :length, :length] if "query" in site_axes(site) else value[:length]


class Everything:
    """The plainest watcher there is."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.values = {}

    def begin(self, positions, real):
        pass

    def wants(self, site):
        return self.wanted(site)

    def __call__(self, site, x):
        self.values[site] = x
        return x


# --- against the plain transformer ----------------------------------------------------------------


def test_every_site_of_a_padded_batch_equals_the_plain_transformer(model, tokens):
    trace = record(model, tokens, ["*"], logits="all")
    assert list(trace.values) == all_sites(model.config)
    for text in range(len(tokens)):
        plain = plain_transformer.run(model, tokens.row(text))
        assert set(plain) == set(trace.values)
        for site, value in plain.items():
            own = cut(site, trace[site][text], len(tokens.row(text)))
            torch.testing.assert_close(own, value, rtol=0, atol=1e-12, msg=lambda m, s=site: s + m)


def test_padding_on_the_left_gives_the_same_values(model, tokens):
    width = tokens.ids.shape[1]
    ids, mask = torch.zeros_like(tokens.ids), torch.zeros_like(tokens.mask)
    for text in range(len(tokens)):
        row = tokens.row(text)
        ids[text, width - len(row) :] = torch.tensor(row)
        mask[text, width - len(row) :] = True
    right, left = (
        record(model, t, ["resid_post", "attn.mix"]) for t in (tokens, Tokens(ids, mask))
    )
    for text in range(len(tokens)):
        for position in range(len(tokens.row(text))):
            for site, value in right.at(text, position, None).items():
                torch.testing.assert_close(left.at(text, position, site), value, atol=1e-12, rtol=0)
    if model.config.has_head:
        torch.testing.assert_close(left.logits, right.logits, atol=1e-12, rtol=0)


def test_one_by_one_in_batches_and_cached_are_the_same(model, tokens):
    sites = ["resid_post", "attn.pattern", "mlp.act"]
    whole = record(model, tokens, sites)
    for size in (1, 2):
        parts = record(model, tokens, sites, batch_size=size)
        assert parts.values.keys() == whole.values.keys()
        for text in range(len(tokens)):
            length = len(tokens.row(text))
            for site in whole.layers("resid_post") and whole.values:
                a, b = (trace[site][text] for trace in (parts, whole))
                a, b = (a, b) if site == "logits" else (cut(site, a, length), cut(site, b, length))
                torch.testing.assert_close(a, b, atol=1e-12, rtol=0)
    if not model.config.causal:
        return
    watch = Everything(lambda site: site.endswith("resid_post"))
    cache = KVCache(model.config, 3, 7, dtype=torch.float64)
    seen = []
    with torch.no_grad():
        for piece in (slice(0, 2), slice(2, 3), slice(3, 7)):
            model(tokens.ids[:, piece], mask=tokens.mask[:, piece], watch=watch, cache=cache)
            seen.append(torch.stack(list(watch.values.values())))
    cached = torch.cat(seen, dim=2)
    real = tokens.mask
    torch.testing.assert_close(
        cached[:, real], whole.site("resid_post")[:, real], atol=1e-12, rtol=0
    )


def test_watching_changes_nothing_bit_for_bit(family, tokens):
    model = build(family, torch.float32)
    with torch.no_grad():
        bare = model(tokens.ids, mask=tokens.mask)
        usual = Everything(lambda site: not site.endswith(SELDOM))
        watched = model(tokens.ids, mask=tokens.mask, watch=usual)
    assert torch.equal(bare.resid, watched.resid)
    assert torch.equal(bare.final, watched.final)
    assert bare.logits is None or torch.equal(bare.logits, watched.logits)
    trace = record(model, tokens, ["resid_post", "final"])
    assert torch.equal(trace[f"{model.config.n_layers - 1}.resid_post"], bare.resid)
    assert torch.equal(trace["final"], bare.final)


def test_taking_attention_and_norms_apart_gives_the_same(family, tokens):
    model = build(family, torch.float32)
    with torch.no_grad():
        bare = model(tokens.ids, mask=tokens.mask).final
        apart = model(tokens.ids, mask=tokens.mask, watch=Everything(lambda site: True)).final
    torch.testing.assert_close(apart, bare, atol=2e-5, rtol=2e-5)


# --- parts and the whole --------------------------------------------------------------------------


def test_what_attention_and_mlp_write_is_exactly_what_is_added(family, tokens):
    model = build(family, torch.float32)
    trace = record(model, tokens, ["*"])
    place = model.config.norm_place
    for layer, block in enumerate(model.blocks):
        pre, post = trace[f"{layer}.resid_pre"], trace[f"{layer}.resid_post"]
        attn, mlp = trace[f"{layer}.attn.out"], trace[f"{layer}.mlp.out"]
        if model.config.parallel:
            assert torch.equal(post, pre + attn + mlp)
            continue
        mid = trace[f"{layer}.resid_mid"]
        if place in ("pre", "sandwich"):
            assert torch.equal(mid, pre + attn) and torch.equal(post, mid + mlp)
            continue
        divided = {"post": pre + attn, "block_end": None}[place]
        if divided is None:
            assert torch.equal(mid, pre + attn)
        else:
            scale = trace[f"{layer}.norm1_scale"]
            torch.testing.assert_close(mid, by_hand(block.norm1, divided, scale))
        scale = trace[f"{layer}.norm2_scale"]
        torch.testing.assert_close(post, by_hand(block.norm2, mid + mlp, scale))


def by_hand(norm, x, scale):
    centred = x if norm.rms else x - x.mean(-1, keepdim=True)
    normed = centred / scale * (norm.gain + norm.offset)
    return normed if norm.bias is None else normed + norm.bias


def test_heads_sum_to_what_attention_writes_and_neurons_to_the_mlp(model, tokens):
    trace = record(model, tokens, ["*"])
    for layer, block in enumerate(model.blocks):
        written = trace[f"{layer}.attn.result"].sum(2)
        written = written if block.attn.b_out is None else written + block.attn.b_out
        columns = trace[f"{layer}.mlp.act"] @ block.mlp.w_out.T
        columns = columns if block.mlp.b_out is None else columns + block.mlp.b_out
        if model.config.norm_place == "sandwich":
            written = by_hand(block.norm1_post, written, trace[f"{layer}.attn_out_scale"])
            columns = by_hand(block.norm2_post, columns, trace[f"{layer}.mlp_out_scale"])
        torch.testing.assert_close(written, trace[f"{layer}.attn.out"], atol=1e-12, rtol=0)
        torch.testing.assert_close(columns, trace[f"{layer}.mlp.out"], atol=1e-12, rtol=0)


# --- only what is asked ---------------------------------------------------------------------------


@pytest.fixture
def llama():
    return build("llama")


def test_positions_are_counted_in_each_text(llama, tokens):
    whole = record(llama, tokens, ["resid_post", "attn.pattern"], logits="all")
    some = record(llama, tokens, ["resid_post", "attn.pattern"], positions=[0, -1], logits="all")
    assert some.positions == ((0, 6), (0, 2), (0, 4))
    assert some["1.resid_post"].shape == (3, 2, 12)
    assert some["1.attn.pattern"].shape == (3, 4, 2, 7)
    assert some.logits.shape == (3, 2, 30)
    for text, last in enumerate([6, 2, 4]):
        for entry, place in enumerate([0, last]):
            assert torch.equal(
                some["1.resid_post"][text, entry], whole["1.resid_post"][text, place]
            )
            assert torch.equal(
                some["1.attn.pattern"][text, :, entry], whole["1.attn.pattern"][text, :, place]
            )
            torch.testing.assert_close(some.logits[text, entry], whole.logits[text, place])


def test_the_last_position_of_each_text(llama, tokens):
    last = record(llama, tokens, "final", positions="last")
    assert torch.equal(last["final"], record(llama, tokens, "final", positions=[-1])["final"])
    assert last.positions == ((6,), (2,), (4,))


def test_positions_per_text_and_occurrences_leave_zeros_where_a_text_has_fewer(llama, tokens):
    whole = record(llama, tokens, ["resid_post"])["1.resid_post"]
    found = [
        Occurrence(0, 0, 1, (2, 3), "x", "exact"),
        Occurrence(2, 0, 1, (1,), "x", "exact"),
        Occurrence(0, 5, 6, (5,), "x", "exact"),
    ]
    for given in (found, [[2, 3, 5], [], [1]]):
        trace = record(llama, tokens, ["resid_post"], positions=given)
        assert trace.positions == ((2, 3, 5), (), (1,))
        kept = trace["1.resid_post"]
        assert torch.equal(kept[0], whole[0, [2, 3, 5]])
        assert torch.equal(kept[2, 0], whole[2, 1])
        assert not kept[1].any() and not kept[2, 1:].any()


@pytest.mark.parametrize(
    ("positions", "said"),
    [
        ([7], "Text 0 has 7 tokens and no position 7"),
        ([3], "Text 1 has 3 tokens and no position 3"),
        ([-4], "Text 1 has 3 tokens and no position -4"),
        ("first", "'first'"),
        ([[0], [1]], "2 lists and there are 3 texts"),
        ([0, [1], [2]], "mixes numbers, lists"),
    ],
)
def test_positions_that_are_not_there_are_refused(llama, tokens, positions, said):
    with pytest.raises(SiteError, match=said):
        record(llama, tokens, ["resid_post"], positions=positions)


def test_all_positions_in_the_models_dtype_are_the_models_own_tensors(llama, tokens):
    watch = Everything(lambda site: site.endswith("resid_post"))

    class Both(Everything):
        """Notes where each value lies, then hands it on to nobody."""

    trace = record(llama, tokens, ["resid_post", "resid_pre"], logits="none")
    # A block's output is the next block's input: one tensor, kept once.
    assert trace["0.resid_post"].data_ptr() == trace["1.resid_pre"].data_ptr()
    assert trace.nbytes == 3 * (3 * 7 * 12 * 8)
    del watch, Both


def test_a_view_does_not_keep_the_whole_that_it_is_a_part_of(llama, tokens):
    trace = record(llama, tokens, ["attn.v", "mlp.gate"], logits="none")
    for value in trace.values.values():
        assert value.untyped_storage().nbytes() == value.numel() * value.element_size()


def test_layers_above_the_last_site_are_not_run(llama, tokens):
    ran = []
    for layer, block in enumerate(llama.blocks):
        block.register_forward_hook(lambda *_, layer=layer: ran.append(layer))
    record(llama, tokens, ["0.mlp.out"], logits="none")
    assert ran == [0]
    ran.clear()
    record(llama, tokens, ["embed"], logits="none")
    assert ran == []
    record(llama, tokens, ["embed"])
    assert ran == [0, 1]


def test_attention_is_taken_apart_only_where_its_inside_is_asked_for(llama, tokens, monkeypatch):
    calls = []
    fused = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **kw: calls.append(1) or fused(*args, **kw),
    )
    record(llama, tokens, ["resid_post", "attn.mix"])
    assert len(calls) == 2
    calls.clear()
    record(llama, tokens, ["1.attn.pattern"])
    assert len(calls) == 1


def test_logits_are_computed_where_they_are_asked_for(model, tokens):
    if not model.config.has_head:
        assert "logits" not in record(model, tokens, ["final"], logits="all")
        return
    widths = []
    unembed = model.unembed
    model.unembed = lambda final, *how: widths.append(final.shape[1]) or unembed(final, *how)
    with torch.no_grad():
        bare = model(tokens.ids, mask=tokens.mask).logits
        lasts = model(tokens.ids, mask=tokens.mask, logits="last").logits
    widths.clear()
    assert torch.equal(record(model, tokens, ["final"]).logits, lasts)
    assert torch.equal(record(model, tokens, logits="all").logits, bare)
    torch.testing.assert_close(
        record(model, tokens, positions=[1, 2], logits="all").logits, bare[:, [1, 2]]
    )
    assert "logits" not in record(model, tokens, ["*"], logits="none")
    assert widths == [1, 7, 2]


def test_values_can_be_kept_in_another_dtype(llama, tokens):
    trace = record(llama, tokens, ["resid_post"], dtype=torch.bfloat16)
    whole = record(llama, tokens, ["resid_post"])
    assert trace["1.resid_post"].dtype == torch.bfloat16
    assert torch.equal(trace["1.resid_post"], whole["1.resid_post"].bfloat16())
    assert trace.provenance.dtype == "float64"


def test_ids_are_enough_for_a_bare_transformer(llama):
    trace = record(llama, torch.tensor([[1, 2, 3]]), ["embed"])
    assert trace["embed"].shape == (1, 3, 12)
    with pytest.raises(SiteError, match=r"ids have shape \(3,\)"):
        record(llama, torch.tensor([1, 2, 3]), ["embed"])
    with pytest.raises(TextError, match="no tokenizer"):
        record(llama, "The mole dug.", ["embed"])
    with pytest.raises(TextError, match="at least one"):
        record(llama, Tokens.of_ids([[1], []]), ["embed"])


# --- gradients ------------------------------------------------------------------------------------


def test_gradients_of_kept_values_are_the_slopes_that_small_changes_show(model, tokens):
    if not model.config.has_head:
        return
    sites = ["0.mlp.act", "1.attn.pattern", "1.attn.q", "0.resid_post"]
    trace = record(model, tokens, sites, grad=True)
    weights = [0.3, -0.2, 0.5]
    scalar = sum(w * trace.logits[text, 0, 7 + text] for text, w in enumerate(weights))
    grads = trace.gradients(scalar)
    assert all(parameter.grad is None for parameter in model.parameters())
    generator = torch.Generator().manual_seed(0)
    for site in sites:
        assert grads[site].shape == trace[site].shape
        nudge = torch.randn(trace[site].shape, generator=generator, dtype=torch.float64) * 1e-5
        nudge = nudge.masked_fill(trace[site] == 0, 0.0)  # off neurons and masked keys stay so
        slope = (nudged(model, tokens, site, nudge) - nudged(model, tokens, site, -nudge)) / 2
        expected = sum(w * slope[text, 0, 7 + text] for text, w in enumerate(weights))
        torch.testing.assert_close((grads[site] * nudge).sum(), expected, rtol=1e-5, atol=1e-10)


def nudged(model, tokens, site, nudge):
    class Nudge(Everything):
        def __call__(self, site, x):
            return x + nudge

    watch = Nudge(lambda name: name == site)
    with torch.no_grad():
        return model(tokens.ids, mask=tokens.mask, watch=watch, logits="last").logits


def test_gradients_at_some_positions_are_those_of_all_positions(llama, tokens):
    whole, some = (
        record(llama, tokens, ["resid_post"], grad=True, positions=where) for where in (None, [1])
    )
    a = whole.gradients(whole.logits[0, 0, 3])["0.resid_post"]
    b = some.gradients(some.logits[0, 0, 3])["0.resid_post"]
    torch.testing.assert_close(a[:, [1]], b)


def test_gradients_need_no_gradients_of_the_weights(llama, tokens):
    reference = record(llama, tokens, ["resid_post"], grad=True)
    expected = reference.gradients(reference.logits[0, 0, 3])
    llama.requires_grad_(False)
    trace = record(llama, tokens, ["resid_post"], grad=True)
    found = trace.gradients(trace.logits[0, 0, 3], keep_graph=True)
    torch.testing.assert_close(found["0.resid_post"], expected["0.resid_post"])
    assert trace.gradients(trace.logits[1, 0, 2])["0.resid_post"].any()
    with pytest.raises(SiteError, match="grad=True"):
        record(llama, tokens, ["resid_post"]).gradients(torch.zeros(()))
    with pytest.raises(SiteError, match="batch_size"):
        record(llama, tokens, ["resid_post"], grad=True, batch_size=2)


def test_without_gradients_no_graph_is_kept(llama, tokens):
    trace = record(llama, tokens, ["*"])
    assert not any(value.requires_grad for value in trace.values.values())
    assert torch.is_grad_enabled()
