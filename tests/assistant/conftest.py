"""Fixtures of the assistant's tests."""

import pytest

from tests.assistant.harness import Harness
from tests.assistant.shop import write_catalogue


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory):
    """The tiny shop's catalogue file."""
    return write_catalogue(tmp_path_factory.mktemp("shop") / "catalogue.sqlite")


@pytest.fixture
def make(catalogue, tmp_path):
    """Builds harnesses: make(assistant={...}, shop_file=path, **stack)."""
    made = []

    def build(assistant=None, shop_file=None, **stack):
        made.append(Harness(shop_file or catalogue, tmp_path, assistant, **stack))
        return made[-1]

    yield build
    for harness in made:
        harness.close()


@pytest.fixture
def shop(make):
    """A harness with default switches."""
    return make()
