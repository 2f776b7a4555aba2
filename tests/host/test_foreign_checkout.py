"""Looking at a checkout runs no program that its own configuration names."""

import subprocess

import pytest

from host.environment import commit, git

HOOKS = {
    "core.fsmonitor": "touch {mark}; false",
    "diff.external": "touch {mark};",
    "diff.evil.textconv": "touch {mark}; cat",
    "filter.evil.clean": "touch {mark}; cat",
    "filter.evil.process": "touch {mark}; cat",
    "core.pager": "touch {mark}; cat",
}


@pytest.mark.parametrize("key", HOOKS)
def test_a_foreign_checkout_runs_nothing(key, tmp_path, monkeypatch):
    mark, folder = tmp_path / "ran", tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def plain(*words):
        subprocess.run(["git", "-c", "user.email=a@b.c", "-c", "user.name=x", *words], check=True, capture_output=True)

    plain("init", "-q")
    (folder / "file").write_text("one\n")
    (folder / ".gitattributes").write_text("* filter=evil diff=evil\n")
    plain("add", "--all")
    plain("commit", "-q", "-m", "x")
    plain("config", key, HOOKS[key].format(mark=mark))
    (folder / "file").write_text("two\n")
    assert (commit() or "").endswith("+")
    assert git("diff", "--no-ext-diff", "--no-textconv", "HEAD")
    assert not mark.exists()
