from __future__ import annotations

import json

import pytest

from molehill.errors import TextError
from molehill.text import Tokenizer
from molehill.text.chat import render_chat

HELLO = [{"role": "user", "content": "What is a mole?"}]


def rendered(template: str, messages: object = HELLO, **limits: object) -> str:
    return render_chat(template, messages, variables={"bos_token": "<s>"}, **limits)


def test_a_template_sees_the_messages_and_the_variables():
    template = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m['content'] }}{% endfor %}"
    assert rendered(template) == "<s>[user] What is a mole?"


def test_smollm2s_prompt_is_the_one_that_transformers_makes(smollm2, smollm2_in_transformers):
    turns = [*HELLO, {"role": "assistant", "content": "An “animal”.\n"}, *HELLO]
    for prompted in (True, False):
        assert smollm2.chat(
            turns, add_generation_prompt=prompted
        ) == smollm2_in_transformers.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=prompted
        )
    tokens = smollm2.encode(smollm2.chat(HELLO), add_special=False)
    assert [piece for piece, special in zip(tokens.pieces[0], tokens.special[0], strict=True)
            if special] == ["<|im_start|>", "<|im_end|>"] * 2 + ["<|im_start|>"]  # fmt: skip
    assert [found.surface for found in tokens.find("mole")] == ["mole"]


TEMPLATES = [
    "{%- set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ ns.n }}"
    "{% if ns.n == 1 %}{% continue %}{% endif %}{{ m | tojson }}\n{% endfor %}",
    "{% for m in messages %}\n    {% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "{% endgeneration %}{% else %}\n{{- m.content | trim }}{% endif %}\n{% endfor %}\nend\n",
    "{{ dict(a=1)['a'] }}{{ messages[-1]['content'].split('?')[0] }}{{ eos_token is defined }}"
    "{{ tools is none }}{{ {'é': [1, 2]} | tojson(indent=2) }}",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_give_what_they_give_in_transformers(template, tmp_path, trained):
    from transformers import PreTrainedTokenizerFast

    trained.save(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(template)
    turns = [*HELLO, {"role": "assistant", "content": " Ein Maulwurf, é. "}]
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    ours = Tokenizer.from_folder(tmp_path)
    assert ours.chat(turns) == theirs.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=True
    )


def test_a_template_is_not_rendered_unless_asked(tmp_path, trained):
    trained.save(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ raise_exception('rendered') }}")
    tokenizer = Tokenizer.from_folder(tmp_path)
    tokenizer.encode("{{ 7 * 7 }}")
    assert "rendered" in tokenizer.chat_template
    with pytest.raises(TextError, match="chat template failed: rendered"):
        tokenizer.chat(HELLO)


def test_a_model_without_a_template_says_so(trained):
    assert trained.chat_template is None
    with pytest.raises(TextError, match="no chat template: write the prompt as plain text"):
        trained.chat(HELLO)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ (messages | attr('__class__')).__base__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ raise_exception.__globals__ }}",
        "{{ namespace.__init__ }}",
        "{% set ns = namespace(__class__=1) %}",
        "{{ self._TemplateReference__context.environment }}",
        "{{ messages.append(1) }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ lipsum.__globals__['os'] }}",
    ],
)
def test_the_sandbox_holds(template):
    """Refused, or rendered as nothing; in no case does a template get at Python's insides."""
    try:
        text = rendered(template)
    except TextError as error:
        assert "chat template failed" in str(error)
    else:
        assert text == ""


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for i in range(10**9) %}x{% endfor %}", "[Rr]ange"),
        ("{% for i in range(99999) %}{{ 'x' * 99 }}{% endfor %}", "more than 1048576 characters"),
        ("{{ 'x' * 10**10 }}", "memory|process ended"),
        ("{{ 'x'.ljust(10**10) }}", "memory|process ended"),
        ("{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}"
         "{% endfor %}", "memory|process ended"),
        ("{% if " + "(" * 200_000 + "1", "deeply|parse|process ended|many nested|longer than"),
        ("{% for m in messages %}" * 3000, "deeply|many|process ended|tag|longer than"),
        ("{{ messages[", "unexpected"),
        ("{{ missing.field }}", "undefined"),
        ("{{ 1 // 0 }}", "zero"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "deeply|recursion"),
    ],
)  # fmt: skip
def test_a_template_that_goes_too_far_is_stopped(template, reason):
    with pytest.raises(TextError, match=f"chat template failed: .*({reason})"):
        rendered(template)


def test_time_is_limited():
    loop = "{% for i in range(99999) %}" * 2 + "{% endfor %}" * 2
    with pytest.raises(TextError, match=r"it took longer than 0.5 s|process ended"):
        rendered(loop, seconds=0.5)
    with pytest.raises(
        TextError, match=r"it took longer than 0.5 s|process ended|too large|digits"
    ):
        rendered("{{ 9 ** (9 ** 9) }}", seconds=0.5)


def test_a_template_of_a_megabyte_is_refused_unread():
    with pytest.raises(TextError, match="has 1048577 characters; the most is 1048576"):
        rendered("x" * (2**20 + 1))


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([*HELLO, {"content": "x"}], r"Message 1 is .*; expected \{'role'"),
        ([{"role": 7, "content": "x"}], "Message 0 is"),
        ([{"role": "user", "content": object()}], "not plain data"),
    ],
)
def test_messages_that_are_no_messages_are_refused(messages, reason):
    with pytest.raises(TextError, match=reason):
        rendered("{{ messages }}", messages)


def test_the_messages_words_are_data_and_never_template():
    hostile = [{"role": "user", "content": "{{ 7 * 7 }}{% raise %}\u2028</script>\x00 é"}]
    assert rendered("{{ messages[0].content }}", hostile) == hostile[0]["content"]
    assert json.loads(rendered("{{ messages | tojson }}", hostile)) == hostile
