"""Without a browser the pages go untested: said at home, a failure on a build machine."""

from __future__ import annotations

import pytest
from tests.views.browsing import absent


@pytest.mark.parametrize("value", ["true", "1"])
def test_a_build_machine_without_a_browser_fails(monkeypatch, value):
    monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.fail.Exception, match="no Chromium"):
        absent("there is no Chromium")


@pytest.mark.parametrize("value", [None, "", "false"])
def test_at_home_the_reason_is_told(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("CI", raising=False)
    else:
        monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.skip.Exception, match="no Chromium"):
        absent("there is no Chromium")
