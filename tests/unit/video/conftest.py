"""A small model for clips."""

import pytest

from lutra.restore.restorer import Restorer
from tests.golden import cases


@pytest.fixture
def restorer() -> Restorer:
    return Restorer(cases.model("mulut-dfc-x2"))
