"""Vectors as features, bias and error, against the dense sum."""

from __future__ import annotations

import pytest
import torch
from tests.features.test_architectures import made
from tests.trace.small_families import build

from molehill.errors import SiteError
from molehill.features.autoencoder import Settings
from molehill.features.making import make_autoencoder
from molehill.features.parts import feature_parts
from molehill.features.trained import Features
from molehill.text import Tokens
from molehill.trace import record

TOKENS = Tokens.of_ids([[3, 1, 4, 1, 5, 9, 2]])
CLOSE = {"rtol": 0, "atol": 1e-12}


def values_at(*sites):
    trace = record(build("llama"), TOKENS, list(sites), logits="none")
    return {site: trace[site][0] for site in sites}


def check(parts, autoencoder, read, columns=slice(None)):
    with torch.no_grad():
        dense = autoencoder.encode(read).dense()
    assert parts.numbers.tolist() == (dense > 0).any(0).nonzero().flatten().tolist()
    torch.testing.assert_close(parts.values, dense[:, parts.numbers], **CLOSE)
    torch.testing.assert_close(parts.total(), parts.vectors, **CLOSE)
    with torch.no_grad():
        rebuilt = autoencoder(read)[:, columns]
    torch.testing.assert_close(parts.rest["error"], parts.vectors - rebuilt, **CLOSE)
    share = (parts.vectors - rebuilt).norm() / parts.vectors.norm()
    assert parts.error_share == pytest.approx(float(share))


@pytest.mark.parametrize("name", ["topk", "jumprelu", "gated"])
def test_features_bias_and_error_are_the_vector(name):
    autoencoder = made(name)
    site = "1.resid_post"
    values = values_at(site)
    parts = feature_parts(Features(autoencoder, (site,), (site,)), values)
    check(parts, autoencoder, values[site])
    assert set(parts.rest) == {"bias", "error"}


def test_a_skip_transcoders_parts_are_those_of_what_the_layer_writes():
    autoencoder = made("topk", centred=False, skip=True)
    values = values_at("1.mlp.in", "1.mlp.out")
    parts = feature_parts(Features(autoencoder, ("1.mlp.in",), ("1.mlp.out",)), values)
    check(parts, autoencoder, values["1.mlp.in"])
    assert parts.site == "1.mlp.out"
    torch.testing.assert_close(parts.vectors, values["1.mlp.out"])
    assert set(parts.rest) == {"bias", "skip", "error"}


def test_a_crosscoder_has_parts_at_each_of_its_sites():
    sites = ("0.resid_post", "1.resid_post")
    autoencoder = make_autoencoder(Settings("topk", 24, 24, 40, k=5)).double()
    autoencoder.products = torch.float64
    features, values = Features(autoencoder, sites, sites, "cross"), values_at(*sites)
    read = torch.cat([values[site] for site in sites], dim=1)
    for number, site in enumerate(sites):
        parts = feature_parts(features, values, site)
        check(parts, autoencoder, read, slice(12 * number, 12 * number + 12))
    assert feature_parts(features, values).site == sites[0]
    with pytest.raises(SiteError, match=r"cross writes 0.resid_post, 1.resid_post, not 1.mlp.out"):
        feature_parts(features, values, "1.mlp.out")
