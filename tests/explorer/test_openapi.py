"""The description of the server is true: fuzzed, every answer is one that it names.

A question and its page have the same inputs and are computed by the same function, so one page
stands for all.
"""

from __future__ import annotations

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance, unsupported_method
from tests.explorer.asgi import request

from molehill.explorer.app import make_app
from molehill.explorer.gate import Gate
from molehill.explorer.line import Line
from molehill.questions import Desk, ModelEntry

# An end that arrives while Python forgets an object is dropped, with a warning, and given again.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TOKEN = "t" * 43
HEADERS = {"authorization": f"Bearer {TOKEN}"}


def gated(desk: Desk, most: int = 32) -> Gate:
    line = Line(deadline=2.0, most=most)
    return Gate(make_app(desk, line=line), hosts=["testserver"], token=TOKEN)


# Where nobody may wait every input is read, and what is well asked is told to come again.
EMPTY = schemathesis.openapi.from_asgi(
    "/api/openapi.json", gated(Desk({}), 0), headers=HEADERS
).include(path_regex=r"/api/(ask/|catalogue|tokens|page/ledger)")
LEXICON = schemathesis.openapi.from_asgi(
    "/api/openapi.json", gated(Desk({"lexicon": ModelEntry("lexicon")})), headers=HEADERS
).include(path_regex=r"/api/(ask/(lens|ledger|shift)|tokens|catalogue)$")

FUZZING = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
    "database": None,
}


def checked(case) -> None:
    """No server error, and what the description says of this status."""
    reply = case.call(headers=HEADERS)
    if reply.status_code in (413, 504):
        return  # not read at all, or ended for taking long: both are said, and there is no more
    assert reply.status_code < 500, reply.text
    # What is no JSON is turned away before anybody looks which methods a route has; and a text may
    # be a text, yet hold no word of the model's.
    case.validate_response(reply, excluded_checks=[unsupported_method, positive_data_acceptance])
    if reply.status_code >= 400:
        assert set(reply.json()) == {"error"}


@EMPTY.parametrize()
@settings(max_examples=3, **FUZZING)
def test_every_route_answers_as_described(case):
    checked(case)


@LEXICON.parametrize()
@settings(max_examples=3, **FUZZING)
def test_questions_of_a_model_answer_as_described(case):
    checked(case)


@EMPTY.parametrize()
@settings(max_examples=1, **FUZZING)
def test_without_the_token_nothing_is_answered(case):
    reply = case.call(headers={"authorization": "Bearer wrong"})
    assert reply.status_code == 401


def test_the_description_itself_needs_the_token():
    gate = gated(Desk({}))
    host = ("host", "testserver")
    assert request(gate, path="/api/openapi.json", headers=[host]).status == 401
    bearer = ("authorization", f"Bearer {TOKEN}")
    told = json.loads(request(gate, path="/api/openapi.json", headers=[host, bearer]).body)
    assert told["openapi"].startswith("3.")
