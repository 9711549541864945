"""What directions promote, against the derivative of the model's own norms and unembedding."""

from __future__ import annotations

import pytest
import torch
from tests.trace.small_families import build

from molehill.errors import ConfigError
from molehill.features.autoencoder import Settings
from molehill.features.effects import (
    effects_of,
    nearest_features,
    reader_of_word,
    reads_words,
)
from molehill.features.making import make_autoencoder
from molehill.features.trained import Features
from molehill.language_model import LanguageModel


def setting(family: str, site: str, n_features: int = 40, **changes):
    """A tiny model and random features at a site."""
    model = build(family, torch.float32, **changes)
    lm = LanguageModel(model, None, family)
    settings = Settings("topk", 12, 12, n_features, k=3)
    return lm, Features(make_autoencoder(settings, seed=2), (site,), (site,))


def readers_by_derivative(lm: LanguageModel, norms) -> torch.Tensor:
    """Each word's row [word, 12], by pushing every axis through norms that divide by one number.

    A norm's derivative along what stands at right angles to its input leaves the divisor alone; so
    every axis is pushed at an input of the same length at right angles to it.
    """
    columns = []
    for axis in range(12):
        vector = torch.zeros(12)
        vector[axis] = 1.0
        for norm in norms:
            centred = vector if norm.rms else vector - vector.mean()
            base = torch.randn(12, generator=torch.Generator().manual_seed(axis))
            base = base if norm.rms else base - base.mean()
            base = base - (base @ centred) / (centred @ centred) * centred
            base = base / base.norm() * 12**0.5  # the divisor is one

            def through(x, norm=norm):
                return norm(x, None, "")

            _, vector = torch.autograd.functional.jvp(through, base, vector)
        columns.append(lm.model.unembed(vector) - lm.model.unembed(torch.zeros(12)))
    return torch.stack(columns, 1)


def norms_after(lm: LanguageModel, case: str):
    blocks, last = lm.model.blocks, lm.model.final_norm
    return {
        "llama": [last],
        "gpt2": [last],
        "opt": [last],
        "notes": [blocks[1].norm2],
        "bert": [blocks[0].norm2, blocks[1].norm1, blocks[1].norm2],
    }[case]


@pytest.mark.parametrize(
    ("case", "site"),
    [
        ("llama", "0.resid_post"),
        ("gpt2", "1.mlp.out"),
        ("opt", "0.attn.out"),
        ("notes", "0.resid_post"),
    ],
)
def test_words_are_ranked_by_the_derivative_of_their_scores(case, site):
    lm, features = setting(case, site)
    rows = readers_by_derivative(lm, norms_after(lm, case))
    rows = (rows - rows.mean(0)).double()
    directions = features.autoencoder.w_dec.detach().double()
    z = 12**0.5 * (directions @ rows.T) / rows.norm(dim=1) / directions.norm(dim=1, keepdim=True)
    got = effects_of(lm, features, 5)
    best = z.topk(5)
    torch.testing.assert_close(got.promoted_z.double(), best.values, rtol=1e-3, atol=1e-3)
    assert (got.promoted == best.indices).float().mean() > 0.98
    torch.testing.assert_close(
        got.demoted_z.double(), z.topk(5, largest=False).values.clamp(max=0), rtol=1e-3, atol=1e-3
    )
    torch.testing.assert_close(
        reader_of_word(lm, features, 7).double(), rows[7], rtol=1e-3, atol=1e-4
    )


def test_few_random_directions_lie_beyond_chance_and_a_words_own_does():
    lm, features = setting("llama", "1.resid_post", 600)
    got = effects_of(lm, features, 3)
    beyond = (got.promoted_z[:, 0] > got.chance).float().mean().item()
    # 0.05 expected; of 600 with chance itself from 200, this far off less than once in a thousand.
    assert 0.005 < beyond < 0.13
    with torch.no_grad():
        features.autoencoder.w_dec[5] = reader_of_word(lm, features, 9)
    own = effects_of(lm, features, 3)
    assert own.promoted[5, 0] == 9 and own.promoted_z[5, 0] > own.chance
    assert own.promoted_z[5, 0].item() == pytest.approx(12**0.5, rel=1e-3), "its cosine is one"


def test_norms_after_attention_are_passed_in_post_norm_models():
    from molehill.features.effects import _path

    model = build("bert", torch.float32)
    blocks = model.blocks

    def gains(layer, kind):
        return [multiplier for multiplier, _ in _path(model, layer, kind)]

    def same(got, norms):
        assert len(got) == len(norms)
        assert all(torch.equal(a, norm.multiplier) for a, norm in zip(got, norms, strict=True))

    after = [blocks[1].norm1, blocks[1].norm2]
    same(gains(0, "resid_post"), after)
    same(gains(0, "mlp.out"), [blocks[0].norm2, *after])
    same(gains(0, "resid_mid"), [blocks[0].norm2, *after])
    same(gains(0, "attn.out"), [blocks[0].norm1, blocks[0].norm2, *after])
    same(gains(1, "resid_pre"), after)
    same(gains(None, "embed"), [blocks[0].norm1, blocks[0].norm2, *after])


def test_nearest_are_those_of_all_cosines():
    rows = torch.randn(50, 12, generator=torch.Generator().manual_seed(1))
    got = nearest_features(rows, 4)
    cosines = torch.nn.functional.cosine_similarity(rows[:, None].double(), rows.double(), dim=2)
    cosines.fill_diagonal_(-1)
    best = cosines.topk(4)
    assert torch.equal(got.features, best.indices)
    torch.testing.assert_close(got.cosines.double(), best.values, rtol=1e-5, atol=1e-6)
    assert nearest_features(rows[:1]).features.shape == (1, 0)


def test_where_no_word_is_read_it_is_said():
    lm, features = setting("llama", "1.mlp.in")
    assert not reads_words(lm, features)
    with pytest.raises(ConfigError, match="not read by an unembedding"):
        effects_of(lm, features)
