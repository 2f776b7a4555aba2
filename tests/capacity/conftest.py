"""One simulation of a model on a chip serves every test that asks for the same: `make_service` is a pure function."""

import pytest

from capacity.fleet import self_hosted as silicon
from capacity.fleet import supply

MADE = {}


def made_once(name, step, lengths, slos, origin, seed, draws):
    """`make_service`, remembered by the values of its arguments."""
    tokens = tuple(getattr(lengths, part).tobytes() for part in ("input_tokens", "output_tokens", "cached_tokens"))
    drawn = draws.input_tokens.tobytes(), draws.prefix_hits.tobytes()
    key = (name, repr(step), tokens, slos, origin, seed, drawn)
    if key not in MADE:
        MADE[key] = silicon.make_service(name, step, lengths, slos, origin, seed, draws)
    service, warnings = MADE[key]
    return service, list(warnings)


@pytest.fixture(autouse=True, scope="session")
def services_made_once():
    """For the whole session; a test of repeatability must not have it, see `fresh_services`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supply, "make_service", made_once)
        yield


@pytest.fixture
def fresh_services(monkeypatch):
    """Every service simulated anew."""
    monkeypatch.setattr(supply, "make_service", silicon.make_service)
