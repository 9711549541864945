"""Ledgers and shifts by features, on tiny models: all still adds up."""

from __future__ import annotations

import json

import pytest
import torch
from tests.journey.tiny import tiny_language
from tests.views.made import SIX, found

from molehill.errors import ConfigError, SiteError
from molehill.features.autoencoder import Settings
from molehill.features.making import make_autoencoder
from molehill.features.trained import Features
from molehill.journey import follow
from molehill.views.feature_rows import parting_features, parts_of, point_of, site_for
from molehill.views.ledger import ledger_data
from molehill.views.ledger_text import ledger_text
from molehill.views.shift import shift_data
from molehill.views.shift_text import shift_text


def features_at(*sites: str, writes: tuple[str, ...] = ()) -> Features:
    width = 32 * len(sites)
    made = make_autoencoder(Settings("topk", width, width, 96, k=6), seed=3).double()
    made.products = torch.float64
    return Features(made, sites, writes or sites, "made")


def ledger_by(features: Features, at="final", name="llama", **options):
    lm = tiny_language(name)
    journey = follow(lm, SIX[0])
    parts = parts_of(lm, features, journey, site_for(lm, features, at))
    return ledger_data(lm, journey, at=at, version="0.0.0", parts=parts, **options)


@pytest.mark.parametrize("site", ["1.resid_post", "1.mlp.out", "0.attn.out", "2.resid_mid"])
@pytest.mark.parametrize("toward", [None, 3])
def test_every_way_of_adding_up_gives_what_the_model_computed(site, toward):
    made = ledger_by(features_at(site), toward=toward)
    measured = pytest.approx(made["read"]["measured"], rel=1e-9, abs=1e-9)
    assert made["closing_error"]["relative"] < 1e-12
    assert "feature" in made["groups"]
    for group in made["groups"].values():
        assert sum(entry["value"] for entry in group["entries"]) + group["rest"] == measured
    assert sum(kind["value"] for kind in made["kinds"]) == measured
    named = {kind["name"] for kind in made["kinds"]}
    assert {"features", "reconstruction error"} <= named
    rows = [row for row in made["rows"] if row["kind"] == "feature"]
    assert len(rows) == made["features"]["active"] == 6
    assert rows[0]["name"] == f"feature {rows[0]['feature']}"
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_without_features_nothing_is_said_of_them():
    lm = tiny_language("llama")
    made = ledger_data(lm, follow(lm, SIX[0]), version="0.0.0")
    assert made["features"] is None
    assert "feature" not in made["groups"]


def test_the_text_lists_features_and_says_what_they_leave():
    made = ledger_by(features_at("1.resid_post"), at="1.resid_post")
    text = ledger_text(made, by="feature")
    assert "by feature" in text.lower()
    assert f"feature {made['rows'][0].get('feature', '')}".strip() in text
    told = " ".join(text.split())
    assert "What stands at 1.resid_post is shown as 6 features of made" in told


def test_a_crosscoder_is_shown_at_the_last_site_that_is_reached():
    lm, features = tiny_language("llama"), features_at("0.resid_post", "2.resid_post")
    assert site_for(lm, features, "final") == "2.resid_post"
    assert site_for(lm, features, "1.resid_mid") == "0.resid_post"
    with pytest.raises(SiteError, match=r"made writes .* not been reached at 'embed'"):
        site_for(lm, features, "embed")
    made = ledger_by(features, at="1.resid_mid")
    assert made["features"]["site"] == "0.resid_post"
    assert made["closing_error"]["relative"] < 1e-12
    assert point_of("1.mlp.out") == "1.resid_post"


def test_features_of_another_model_are_refused():
    lm, features = tiny_language("llama"), features_at("1.resid_post")
    foreign = Features(features.autoencoder, features.reads, features.writes, "x", "y", "0" * 64)
    with pytest.raises(ConfigError, match="x was trained on y"):
        parts_of(lm, foreign, follow(lm, SIX[0]))


@pytest.mark.parametrize(("name", "site"), [("gpt2", "1.resid_post"), ("bert", "1.mlp.out")])
def test_shares_of_what_parts_two_paths_add_up(name, site):
    lm, features = tiny_language(name), features_at(site)
    told = parting_features(lm, features, "mole", SIX[:3])
    assert [(pair["a"], pair["b"]) for pair in told["pairs"]] == [(1, 2), (1, 3), (2, 3)]
    journeys = [follow(lm, text, "mole") for text in SIX[:3]]
    for pair in told["pairs"]:
        a, b = (journeys[pair[side] - 1].vector("1.resid_post") for side in "ab")
        assert pair["distance"] == pytest.approx(float((a - b).norm()), rel=1e-6)
        assert sum(kind["share"] for kind in pair["kinds"]) == pytest.approx(1.0, abs=1e-3)
        own = sum(one["share"] for one in pair["features"]) + pair["rest"]
        shares = {kind["name"]: kind["share"] for kind in pair["kinds"]}
        assert own == pytest.approx(shares["features"], abs=1e-3)
        assert pair["closing_error"] < 1e-12
    assert told["summary"][0].startswith("At 1.resid_post sentences")


def test_a_features_share_is_its_values_difference_along_the_distance():
    lm, features = tiny_language("gpt2"), features_at("1.resid_post")
    [pair] = parting_features(lm, features, "mole", SIX[:2])["pairs"]
    a, b = (follow(lm, text, "mole").vector("1.resid_post") for text in SIX[:2])
    unit = (b - a) / (b - a).norm()
    with torch.no_grad():
        dense = features.autoencoder.encode(torch.stack([a, b])).dense()
        alike = features.autoencoder.w_dec @ unit
    for one in pair["features"]:
        number = one["feature"]
        assert one["values"] == pytest.approx(dense[:, number].tolist(), rel=1e-4, abs=1e-9)
        difference = float(dense[1, number] - dense[0, number])
        share = difference * float(alike[number]) / float((b - a).norm())
        assert one["share"] == pytest.approx(share, rel=1e-3)


def test_a_shift_tells_its_features_in_its_text():
    lm, features = tiny_language("gpt2"), features_at("1.resid_post")
    told = parting_features(lm, features, "mole", SIX)
    data = shift_data(found(), version="0.0.0", features=told)
    text = shift_text(data)
    assert "FEATURES THAT PART THEM" in text
    assert told["summary"][0] in data["summary"]
    assert "features" not in shift_data(found(), version="0.0.0")
