"""Edits as values: added up by hand, shared to the object, undone to the bit; and new neurons whose
whole effect is computed by brute force."""

from __future__ import annotations

import copy
from hashlib import sha256

import pytest
import torch
from tests.trace.small_families import FAMILIES, build

import molehill
from molehill.checkpoints.save import save_checkpoint
from molehill.errors import FactError
from molehill.facts.edits import Dense, FactEdit, LowRank, Neurons, apply_edits, sizes
from molehill.facts.fact import Fact
from molehill.language_model import LanguageModel
from molehill.model import Products
from molehill.model.generate import generate

DOWN = "blocks.1.mlp.w_out"
IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
each_family = pytest.mark.parametrize("family", FAMILIES)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def language(family: str, **changes) -> LanguageModel:
    return LanguageModel(build(family, **changes).requires_grad_(False), None, family)


def edit(lm: LanguageModel, *changes, after: tuple[str, ...] = ()) -> FactEdit:
    fact = Fact("moles", "tunnels", "{} dig")
    return FactEdit("rome", (fact,), changes, lm.name, lm.fingerprint, after)


def low_rank(parameter: str = DOWN, out: int = 12, width: int = 20, seed: int = 0) -> LowRank:
    left, right = noise(out, 2, seed=seed), noise(2, width, seed=seed + 1)
    return LowRank(parameter, left.float(), right.float())


def weights_of(lm: LanguageModel) -> dict[str, torch.Tensor]:
    return dict(lm.model.named_parameters())


def hashes(lm: LanguageModel) -> dict[str, str]:
    return {name: sha256(w.numpy().tobytes()).hexdigest() for name, w in weights_of(lm).items()}


def logits(lm: LanguageModel, ids: torch.Tensor = IDS) -> torch.Tensor:
    out = lm.model(ids, logits="all" if lm.config.has_head else "none")
    return out.final if out.logits is None else out.logits


# --- applying and undoing ------------------------------------------------------------------------


@each_family
def test_applying_adds_and_shares_and_leaves_the_original_alone(family):
    lm = language(family)
    before, truth = hashes(lm), logits(lm)
    change, other = low_rank(), low_rank("blocks.0.attn.w_out", 12, 16, seed=5)
    edited = apply_edits(lm, [edit(lm, change, other)])
    for name, weight in weights_of(edited).items():
        own = weights_of(lm)[name]
        if name in (DOWN, "blocks.0.attn.w_out"):
            one = change if name == DOWN else other
            by_hand = own.numpy() + one.left.double().numpy() @ one.right.double().numpy()
            assert weight.dtype == own.dtype and not weight.requires_grad
            torch.testing.assert_close(weight, torch.from_numpy(by_hand), rtol=1e-14, atol=1e-14)
        else:
            assert weight is own
    assert hashes(lm) == before
    assert torch.equal(logits(lm), truth)
    assert not torch.allclose(logits(edited), truth)
    # A model loaded with those very weights is the same model.
    twin = build(family)
    twin.load_state_dict(edited.model.state_dict())
    assert torch.equal(logits(edited), logits(LanguageModel(twin, None, "twin")))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_sum_is_rounded_once(dtype):
    """Three changes of a weight in float64, then its own dtype: not three roundings."""
    lm = language("llama", dtype=dtype)
    changes = [low_rank(seed=seed) for seed in (0, 10, 20)]
    edited = apply_edits(lm, [edit(lm, change) for change in changes])
    total = weights_of(lm)[DOWN].double()
    total = total + sum(change.left.double() @ change.right.double() for change in changes)
    assert torch.equal(weights_of(edited)[DOWN], total.to(dtype))


def test_undoing_is_applying_fewer_to_the_bit():
    lm = language("gpt2", dtype=torch.float32)
    first, second = edit(lm, low_rank()), edit(lm, Dense(DOWN, noise(12, 20, seed=7).float()))
    one, both = apply_edits(lm, [first]), apply_edits(lm, [first, second])
    assert hashes(both) != hashes(one) != hashes(lm)
    assert hashes(apply_edits(lm, [first])) == hashes(one)
    assert hashes(apply_edits(lm, [second])) == hashes(apply_edits(lm, [edit(lm, *second.changes)]))
    assert apply_edits(lm, []) is lm
    # The later one alone is what is left when the earlier is undone.
    assert torch.equal(
        weights_of(apply_edits(lm, [second]))[DOWN],
        (weights_of(lm)[DOWN].double() + second.changes[0].delta()).float(),
    )


def test_the_name_counts_edits_and_the_fingerprint_is_new():
    lm = language("gpt2")
    first, second = edit(lm, low_rank()), edit(lm, low_rank(seed=4))
    assert apply_edits(lm, [first]).name == "gpt2 + 1 edit"
    both = apply_edits(lm, [first, second])
    assert both.name == "gpt2 + 2 edits" and both.fingerprint != lm.fingerprint
    assert both.tokenizer is lm.tokenizer


def test_edits_of_other_weights_are_refused_unless_forced():
    lm, other = language("gpt2"), language("gpt2", d_mlp=20, n_heads=4, tied=False)
    made = edit(other, low_rank())
    with pytest.raises(FactError, match=f"{made.name}.*{other.fingerprint[:12]}.*force"):
        apply_edits(lm, [made])
    forced = apply_edits(lm, [made], force=True)
    assert torch.equal(
        weights_of(forced)[DOWN], weights_of(apply_edits(lm, [edit(lm, *made.changes)]))[DOWN]
    )


@pytest.mark.parametrize(
    "change, words",
    [
        (low_rank("blocks.7.mlp.w_out"), "no weight 'blocks.7.mlp.w_out'"),
        (low_rank("products"), "no weight 'products'"),
        (low_rank(""), "no weight ''"),
        (low_rank(width=21), r"\(12, 21\).*\(12, 20\)"),
        (Dense(DOWN, noise(20, 12)), r"\(20, 12\).*\(12, 20\)"),
        (LowRank(DOWN, noise(12, 2), noise(3, 20)), r"\(12, 2\).*\(3, 20\)"),
        (Neurons(2, noise(3, 12), noise(3), noise(12, 3)), "layer 2.*2 layers"),
        (Neurons(-1, noise(3, 12), noise(3), noise(12, 3)), "layer -1"),
        (Neurons(1, noise(3, 11), noise(3), noise(12, 3)), r"\(3, 11\)"),
        (Neurons(1, noise(3, 12), noise(2), noise(12, 3)), r"\(2,\)"),
        (Neurons(1, noise(3, 12), noise(3), noise(3, 12)), r"columns \(3, 12\)"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(change, words):
    lm = language("gpt2")
    before = hashes(lm)
    with pytest.raises(FactError, match=words):
        apply_edits(lm, [edit(lm, change)])
    with pytest.raises(FactError, match=words):
        sizes(lm, [edit(lm, change)])
    assert hashes(lm) == before


def test_an_edited_model_is_deep_copied_and_edited_again():
    lm = language("llama")
    once = apply_edits(lm, [edit(lm, low_rank())])
    twin = copy.deepcopy(once.model)
    assert all(a is not b for a, b in zip(twin.parameters(), once.model.parameters(), strict=True))
    assert torch.equal(twin(IDS).logits, logits(once))
    again = apply_edits(once, [edit(once, low_rank("blocks.0.mlp.w_out", seed=9))])
    assert weights_of(again)[DOWN] is weights_of(once)[DOWN]


# --- names and sizes -----------------------------------------------------------------------------


def test_the_digest_is_of_the_changes_alone():
    lm = language("gpt2")
    one, same = edit(lm, low_rank()), edit(lm, low_rank(), after=("elsewhere",)).measured(worth=1)
    assert one.digest == same.digest and one.name == one.digest[:8] and len(one.digest) == 64
    assert same.metrics == {"worth": 1} and same.after == ("elsewhere",)
    others = [
        edit(lm, low_rank(seed=1)),
        edit(lm, low_rank("blocks.0.mlp.w_out")),
        edit(lm, low_rank(), low_rank()),
        edit(lm, LowRank(DOWN, *(part.double() for part in (low_rank().left, low_rank().right)))),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == 5
    assert str(one) == f"{one.name} rome: moles dig tunnels"


def test_sizes_are_norms_and_ranks_of_what_is_added_together():
    lm = language("gpt2")
    first, second = low_rank(), low_rank(seed=3)
    new = Neurons(0, noise(3, 12), noise(3), noise(12, 3, seed=2))
    found = sizes(lm, [edit(lm, first), edit(lm, second, new)])
    delta = sum(one.left.double() @ one.right.double() for one in (first, second))
    weight = weights_of(lm)[DOWN]
    assert [one.where for one in found] == [DOWN, "3 neurons in layer 0"]
    assert found[0].norm == pytest.approx(float((delta**2).sum() ** 0.5))
    assert found[0].relative == pytest.approx(float(delta.norm() / weight.norm()))
    assert found[0].rank == int(torch.linalg.matrix_rank(delta)) == 4
    assert found[1].norm == pytest.approx(float(new.columns.norm()))
    (dense,) = sizes(lm, [edit(lm, Dense(DOWN, noise(12, 20)))])
    assert dense.rank == 12


# --- further neurons -----------------------------------------------------------------------------


class Adding:
    """A watch that computes new neurons by hand and adds what they write to the layer's MLP."""

    def __init__(self, lm: LanguageModel, change: Neurons) -> None:
        self.change, self.act = change, lm.model.blocks[change.layer].mlp.activation
        sandwich = lm.config.norm_place == "sandwich"
        self.reads = f"{change.layer}.mlp.in"
        self.writes = f"{change.layer}.mlp.{'raw' if sandwich else 'out'}"

    def begin(self, positions, real): ...

    def wants(self, site):
        return site in (self.reads, self.writes)

    def __call__(self, site, x):
        if site == self.reads:
            asked = torch.einsum("bpm,nm->bpn", x, self.change.rows) + self.change.bias
            self.written = torch.einsum("bpn,mn->bpm", self.act(asked), self.change.columns)
            return x
        return x + self.written


@each_family
@pytest.mark.parametrize("layer", [0, 1])
def test_new_neurons_write_act_of_row_times_column(family, layer):
    lm = language(family)
    before = hashes(lm)
    change = Neurons(layer, noise(3, 12), noise(3, seed=1), noise(12, 3, seed=2))
    edited = apply_edits(lm, [edit(lm, change)])
    assert edited.config.d_mlp == 23 and edited.config.mlp_bias
    out = lm.model(IDS, watch=Adding(lm, change), logits="all" if lm.config.has_head else "none")
    truth = out.final if out.logits is None else out.logits
    torch.testing.assert_close(logits(edited), truth, rtol=1e-11, atol=1e-11)
    assert not torch.allclose(logits(edited), logits(lm))
    assert hashes(lm) == before
    assert weights_of(edited)["w_token"] is weights_of(lm)["w_token"]


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("gated", [True, False])
def test_new_neurons_on_relu_with_and_without_biases(biased, gated):
    lm = language("notes", mlp_bias=biased, gated=gated)
    change = Neurons(1, noise(4, 12), noise(4, seed=1), noise(12, 4, seed=2))
    edited = apply_edits(lm, [edit(lm, change)])
    truth = lm.model(IDS, watch=Adding(lm, change)).logits
    torch.testing.assert_close(logits(edited), truth, rtol=1e-11, atol=1e-11)


def test_neurons_that_never_fire_change_nothing():
    lm = language("notes")
    change = Neurons(0, 0 * noise(2, 12), -torch.ones(2).double(), noise(12, 2))
    torch.testing.assert_close(logits(apply_edits(lm, [edit(lm, change)])), logits(lm))


@pytest.mark.parametrize("family", ["notes", "gpt2", "llama"])
def test_neurons_and_changes_of_the_widened_matrix_stack(family):
    """A change made for the model before any edit, beside neurons of two edits."""
    lm = language(family)
    one = Neurons(1, noise(2, 12), noise(2, seed=1), noise(12, 2, seed=2))
    two = Neurons(1, noise(3, 12, seed=4), noise(3, seed=5), noise(12, 3, seed=6))
    stack = [edit(lm, one), edit(lm, low_rank()), edit(lm, two)]
    edited = apply_edits(lm, stack)
    assert edited.config.d_mlp == 25
    base = apply_edits(lm, [stack[1]])
    both = Neurons(
        1,
        torch.cat([one.rows, two.rows]),
        torch.cat([one.bias, two.bias]),
        torch.cat([one.columns, two.columns], 1),
    )
    truth = base.model(IDS, watch=Adding(base, both)).logits
    torch.testing.assert_close(logits(edited), truth, rtol=1e-11, atol=1e-11)


def test_an_edited_model_makes_products_as_the_old_one_was_told_to():
    lm = language("gpt2")
    lm.model.products, lm.model.step_products = Products("torch"), Products("torch")
    lm.model.eval()
    new = Neurons(1, noise(2, 12), noise(2, seed=1), noise(12, 2, seed=2))
    for change in (low_rank(), new):
        edited = apply_edits(lm, [edit(lm, change)]).model
        assert edited.products.choice == edited.step_products.choice == "torch"
        assert not edited.training


@pytest.mark.parametrize("family", ["notes", "gpt2", "llama"])
def test_a_widened_model_saves_and_loads(family, tmp_path):
    lm = language(family)
    change = Neurons(1, noise(2, 12), noise(2, seed=1), noise(12, 2, seed=2))
    edited = apply_edits(lm, [edit(lm, change)])
    save_checkpoint(edited.model, None, tmp_path / "wide", family="molehill")
    back = molehill.load(tmp_path / "wide", dtype="float64")
    assert back.config == edited.config
    assert torch.equal(logits(back), logits(edited))


# --- writing text --------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["auto", "packed"])
def test_an_edited_model_writes_with_its_own_weights(route, monkeypatch):
    """Packed copies of the old weights must not be used for the new ones: text token by token is
    that of a model which was loaded with the edited weights."""
    if route == "packed" and not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no packed products")
    monkeypatch.setenv("MOLEHILL_LINEAR", route)
    # Wide enough for products to be packed and measured.
    size = {"d_model": 512, "d_mlp": 1024, "n_heads": 8, "d_head": 64, "n_ctx": 64}
    model = build("notes", torch.float32, **size).requires_grad_(False)
    lm = LanguageModel(model, None, "wide")
    prompt = IDS[:, :4]

    def written(model) -> list[int]:
        return [int(step.ids[0]) for step in generate(model, prompt, max_new_tokens=24)]

    before = written(model)  # fills the packed copies
    left, right = noise(512, 1, seed=1).float(), noise(1, 1024, seed=2).float()
    edited = apply_edits(lm, [edit(lm, LowRank("blocks.0.mlp.w_out", left, right))])
    twin = build("notes", torch.float32, **size).requires_grad_(False)
    twin.load_state_dict(edited.model.state_dict())
    assert written(edited.model) == written(twin) != before
    assert written(model) == before
