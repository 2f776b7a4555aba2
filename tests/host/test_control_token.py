"""The token of a stack's control and test endpoints lies where only its user reads it."""

import stat

import pytest

from host.control_token import HEADER, control_headers, matches, new_token, page_address, published, token_file


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_published_token_is_found_by_its_port_until_the_stack_ends():
    """By loopback addresses alone, and by no other port."""
    token = new_token()
    with published(token, [4000, 4001]):
        assert control_headers("http://127.0.0.1:4001/v1") == {HEADER: token}
        assert page_address("http://127.0.0.1:4000") == f"http://127.0.0.1:4000/#{token}"
        assert control_headers("http://shop.example:4000") == control_headers("http://127.0.0.1:4002") == {}
    assert control_headers("http://127.0.0.1:4000") == {}


def test_nobody_else_can_read_it():
    """The file is its user's, and so is the folder; a link that waits under its name is not followed."""
    file = token_file(4000)
    file.parent.mkdir(parents=True)
    victim = file.parent / "victim"
    victim.write_text("precious")
    file.symlink_to(victim)
    with published("t" * 20, [4000]):
        assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o600, 0o700]
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(("token", "sent", "passes"), [(None, None, True), ("abc", "abc", True), ("abc", None, False)])
def test_a_stack_with_a_token_answers_it_alone(token, sent, passes):
    """A process that was started by hand without one answers all of this machine."""
    assert matches(token, sent) is passes
    assert not matches("abc", "abd")
    assert not matches("abc", "ä")
