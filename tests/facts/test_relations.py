"""Files of facts: relations and CounterFact's records, sound and broken."""

from __future__ import annotations

import json

import pytest
from tests.facts.wordy import wordy

from molehill.errors import FactError
from molehill.facts.cases import known_facts, make_cases
from molehill.facts.relations import read_counterfact, read_relation, read_relations

RELATION = {
    "name": "sport",
    "prompt_templates": ["{} plays the sport of", "{} plays"],
    "prompt_templates_zs": ["{} plays"],
    "samples": [
        {"subject": "Anna", "object": "chess"},
        {"subject": "Carl", "object": "golf"},
        {"subject": "Ruth", "object": "chess"},
        {"subject": "Hale", "object": "rowing"},
    ],
}
RECORD = {
    "requested_rewrite": {
        "prompt": "{} plays the sport of",
        "subject": "Anna",
        "relation_id": "P641",
        "target_true": {"str": "chess"},
        "target_new": {"str": "golf"},
    },
    "paraphrase_prompts": ["Long ago Anna plays"],
    "neighborhood_prompts": ["Ruth plays the sport of", "Bell plays the sport of"],
    "generation_prompts": ["Anna is"],
}


def written(path, values):
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def test_a_relation_is_read_with_each_template_once(tmp_path):
    relation = read_relation(written(tmp_path / "sport.json", RELATION), start="^")
    assert relation.templates == ("{} plays the sport of", "{} plays")
    assert [fact.subject for fact in relation.facts] == ["Anna", "Carl", "Ruth", "Hale"]
    assert relation.facts[0].prompts == ("^Anna plays the sport of", "^Anna plays")
    assert relation.objects() == ("chess", "golf", "rowing")
    (tmp_path / "deeper").mkdir()
    written(tmp_path / "deeper" / "b.json", RELATION)
    assert len(read_relations(tmp_path)) == 2


def test_counterfact_is_read(tmp_path):
    (case,) = read_counterfact(written(tmp_path / "cf.json", [RECORD]))
    assert str(case.fact) == "Anna plays the sport of chess" and case.new == "golf"
    assert case.paraphrases == ("Long ago Anna plays",)
    assert case.neighbours[0] == ("Ruth plays the sport of", "chess")
    assert case.generation == ("Anna is",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[]", "no relation"),
        ('{"name": "x", "prompt_templates": [], "samples": []}', "0 templates"),
        (
            '{"name": "x", "prompt_templates": ["{} is"], "samples": [{"subject": 1}]}',
            "no relation",
        ),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_broken_files_are_refused_in_one_line(tmp_path, text, said):
    (tmp_path / "bad.json").write_text(text, encoding="utf-8")
    with pytest.raises(FactError, match=said) as told:
        read_relation(tmp_path / "bad.json")
    assert "\n" not in str(told.value)


def test_a_record_that_lacks_something_is_named(tmp_path):
    broken = {**RECORD, "requested_rewrite": {"prompt": "{} is"}}
    with pytest.raises(FactError, match="record 1"):
        read_counterfact(written(tmp_path / "cf.json", [RECORD, broken]))
    (tmp_path / "deeper").mkdir()
    with pytest.raises(FactError, match=r"no \.json file"):
        read_relations(tmp_path / "deeper")


def test_cases_have_another_object_and_neighbours_that_keep_their_own(tmp_path):
    relation = read_relation(written(tmp_path / "sport.json", RELATION))
    cases = make_cases(relation.facts, relation, neighbours=2, seed=1)
    assert cases == make_cases(relation.facts, relation, neighbours=2, seed=1)
    for case in cases:
        assert case.new != case.fact.object and case.new in relation.objects()
        assert case.paraphrases == (f"{case.fact.subject} plays",)
        for prompt, true in case.neighbours:
            assert case.fact.subject not in prompt and true != case.new
        assert all(text.endswith(f" {case.new}") for text in case.reference)


def test_what_a_model_knows_is_what_it_says(tmp_path):
    lm = wordy("opt")
    prompt = "Anna plays the sport of"
    said = lm.generate(prompt, max_new_tokens=1)[0].text.strip()
    samples = [{"subject": "Anna", "object": said}, {"subject": "Carl", "object": "chess golf ago"}]
    relation = read_relation(written(tmp_path / "s.json", {**RELATION, "samples": samples}))
    found = known_facts(lm, relation)
    assert [fact.subject for fact in found.known] == ["Anna"]
    assert found.asked == 2 and found.by_template[0] == 1
