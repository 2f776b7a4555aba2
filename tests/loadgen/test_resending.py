"""A request that a kept-alive connection lost before any answer: sent once more and counted, where it may be."""

from dataclasses import replace

import pytest

from loadgen.job import LoadError
from loadgen.targets.mapping import load_mapping, named_target, target_specs
from tests.loadgen.server import response, serving
from tests.loadgen.worker_runs import play

REUSED = {"mix": {"turns_per_interaction": {"mean": 3.0, "max": 3}}}


@pytest.mark.parametrize("resends", [True, False])
def test_a_lost_request_is_sent_again_only_where_it_may_be(make_job, resends):
    """Every third request meets a closed connection: resent and counted, or a failed turn and nothing twice."""
    path, values = named_target("text:http://127.0.0.1:1/x")
    (spec,) = target_specs(path, values)
    answered = [(0.0, response(b"On Friday.", content_type="text/plain"))]
    taken = []

    def handle(*_):
        taken.append(1)
        return [(0.0, b"")] if len(taken) % 3 == 0 else answered

    with serving(handle) as server:
        spec = replace(spec, url=f"{server.url}/x", mapping={**spec.mapping, "resend": resends})
        run, final = play(make_job(spec, scenario=REUSED))
    assert final["faults"] == []
    if resends:
        assert final["counters"]["resent"] > 0
        assert len(server.requests) == len(run.turns) + final["counters"]["resent"]
    else:
        assert final["counters"]["resent"] == 0
        assert len(server.requests) == len(run.turns)
        assert "closed_before_answer" in set(run.turns["error_code"])


def test_resend_is_true_or_false(tmp_path):
    """Anything else names the key."""
    (tmp_path / "m.yaml").write_text(
        "schema: peakday.target/1\nurl: http://127.0.0.1:1\nformat: text\nbody: {}\nresend: never\n"
    )
    with pytest.raises(LoadError, match="resend: expected true or false"):
        load_mapping(tmp_path / "m.yaml")
