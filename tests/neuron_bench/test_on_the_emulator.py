"""The endpoint route on the product's own emulator: exact counts, and a record that says what it is of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from neuron_bench.endpoint import sweep
from neuron_bench.endpoint.loads import decode, prefill, serve
from neuron_bench.endpoint.sweep import EndpointSpec
from neuron_bench.fit.bench import Engine, step_model
from neuron_bench.record import Bench, load_bench
from tests.emulator.conftest import start

ENGINE = Engine(max_num_seqs=32, max_batched_tokens=2048, block_tokens=16, kv_blocks=4096, chips_per_replica=1.0)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Every phase, twice round."""
    running = start(tmp_path_factory.mktemp("emulator"))
    loads = (prefill(64), prefill(512), decode(1, 64, 256), decode(4, 64, 256), serve(2, 64, 16))
    spec = EndpointSpec(running.ready()["url"] + "/v1", loads=loads, rounds=2, suite="full")
    yield load_bench(sweep.run(spec, tmp_path_factory.mktemp("benches") / "emulated"))
    running.stop()


def test_every_load_is_measured_to_the_token(bench: Bench) -> None:
    """Prompts of the lengths asked for, answers of the tokens asked for, an event a token."""
    assert bench.state == "finished"
    assert {row.flags for row in bench.rows} == {""}
    assert {row.label for row in bench.rows} == {row.record_id for row in bench.rows}


def test_what_an_emulator_is_timed_at_is_simulated(bench: Bench) -> None:
    """In every row, and in the step model fitted to them: no plan takes it for a chip."""
    assert {row.provenance for row in bench.rows} == {"simulated"}
    model = step_model(bench, ENGINE)
    assert (model.provenance, model.chip) == ("simulated", "unknown")
