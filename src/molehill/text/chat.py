"""A conversation becomes one prompt, by the template that came with the model.

A template is a small program from a stranger, so it runs in a sandbox in a process of its own with
limits on time, memory and output, and only when it is asked for. This module knows nothing of
tokens.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from molehill.errors import TextError

__all__ = ["render_chat"]

_SANDBOX = Path(__file__).with_name("chat_sandbox.py")
# The longest template in use has 20,000 characters.
_LONGEST_TEMPLATE = 2**20
_MEMORY = 512 * 2**20


def render_chat(
    template: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    variables: Mapping[str, Any],
    seconds: float = 5.0,
    most_characters: int = 2**20,
) -> str:
    """The prompt that `template` makes of `messages`.

    Args:
        template: A Jinja template, as `transformers` writes them.
        messages: Turns, each with a `role` and, mostly, a `content`.
        variables: What else the template may read, such as `bos_token`.
        seconds: The longest it may take, its start (a tenth of a second) included.
        most_characters: The longest prompt.

    Raises:
        TextError: the template is faulty, refuses the conversation, reaches for what the sandbox
            forbids, or passes a limit; or the messages are not plain data.
    """
    if len(template) > _LONGEST_TEMPLATE:
        raise TextError(
            f"The chat template has {len(template)} characters; the most is {_LONGEST_TEMPLATE}."
        )
    _check_messages(messages)
    request = {
        "template": template,
        "variables": {**variables, "messages": list(messages)},
        "seconds": seconds,
        "memory": _MEMORY,
        "most_characters": most_characters,
    }
    try:
        asked = json.dumps(request)
    except (TypeError, ValueError) as error:
        raise TextError(f"The messages are not plain data: {error}.") from None
    answer = _asked_of_sandbox(asked, seconds)
    if "text" not in answer:
        reason = str(answer.get("error", "it gave no answer")).rstrip(".")
        raise TextError(f"The model's chat template failed: {reason}.")
    return answer["text"]


def _asked_of_sandbox(request: str, seconds: float) -> dict[str, Any]:
    """One request to a fresh process, which is killed when it takes too long."""
    # -P: the script's own folder is not searched for modules, since its names are ours.
    command = [sys.executable, "-P", str(_SANDBOX)]
    try:
        done = subprocess.run(
            command, input=request.encode(), capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"it took longer than {seconds:g} s"}
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return {"error": f"its process ended with {done.returncode} {' '.join(last)}".strip()}


def _check_messages(messages: Sequence[Mapping[str, Any]]) -> None:
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise TextError(
                f"Message {index} is {str(message)[:60]!r}; "
                "expected {'role': 'user', 'content': '...'}."
            )
