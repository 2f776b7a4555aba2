"""Which records a plan reads when it is told of none."""

from types import SimpleNamespace

from peakday.plan import plan as planning


def test_only_benches_that_a_step_model_was_fitted_from_become_inputs(monkeypatch, tmp_path):
    """A record that merely lies here is no input; one that is asked for is."""
    monkeypatch.chdir(tmp_path)
    for name in ("used", "idle"):
        (tmp_path / "benches" / name).mkdir(parents=True)
        (tmp_path / "benches" / name / "bench.json").write_text("{}")
    monkeypatch.setattr(planning, "load_bench", lambda path: path.name)
    monkeypatch.setattr(planning, "records", lambda kind: sorted((tmp_path / kind).iterdir()))
    monkeypatch.setattr(planning, "find_record", lambda kind, name: tmp_path / kind / name)
    fitted = [SimpleNamespace(inputs=("used",))]
    assert planning.choose_benches((), fitted) == ["used"]
    assert planning.choose_benches((), []) == []
    assert planning.choose_benches(("idle",), fitted) == ["idle"]
