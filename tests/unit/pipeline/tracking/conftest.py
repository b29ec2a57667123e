"""MLflow, made unreachable."""

from collections.abc import Callable

import pytest

from pipeline.tracking import store


@pytest.fixture
def down(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes MLflow unreachable, or reachable again."""
    connect = store.connect

    def fail(uri: str) -> None:
        raise OSError("nobody there")

    return lambda is_down: monkeypatch.setattr(store, "connect", fail if is_down else connect)
