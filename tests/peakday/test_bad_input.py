"""Whatever is typed wrong is one clear line with the fix, the right exit code, and nothing left behind."""

import contextlib

import pytest

from host.ports import listen


def one_line(result, code: int, *words: str) -> None:
    """Exactly one line of complaint, holding these words; no traceback; this exit code."""
    assert result.returncode == code, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("peakday: ")
    for word in words:
        assert word in lines[0], lines[0]


def test_an_unknown_scenario_names_the_library(refused, tmp_path):
    one_line(refused("run", "smokey", "--quiet"), 2, "smokey", "smoke")
    assert not list(tmp_path.iterdir())


def test_a_typo_in_a_scenario_names_file_key_and_fix(refused, tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: smoke\nname: mine\nmixx: {}\n")
    one_line(refused("scenario", "validate", "mine.yaml"), 2, "mine.yaml", "mixx", "mix")


def test_weights_that_do_not_sum_say_by_how_much(refused, tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: smoke\nname: mine\nevent: {regions: {us-east-1: {share: 0.9}}}\n")
    one_line(refused("scenario", "validate", "mine.yaml"), 2, "mine.yaml", "shares sum to")


def test_a_negative_rate_is_refused(refused, tmp_path):
    one_line(refused("run", "smoke", "--rate=-5/s", "--for", "5s", "--quiet"), 2, "--rate", "above zero")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content", [None, "", "TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,2\n", "a,b\n1,2\n"]
)
def test_an_unreadable_trace_names_the_file(refused, tmp_path, content):
    if content is not None:
        (tmp_path / "trace.csv").write_text(content)
    one_line(refused("run", "smoke", "--arrivals", "trace.csv", "--window", "0s:5s", "--quiet"), 2, "trace.csv")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--window", "9000s:9010s"], "lasts 20 s"),
        (["--for", "3s"], "--rate"),
        (["--rate", "3/s"], "--for"),
        (["--rate", "3/s", "--for", "2s", "--window", "0s:3s"], "excludes"),
    ],
)
def test_options_that_cannot_be_run_are_refused_before_anything_starts(refused, tmp_path, options, word):
    one_line(refused("run", "smoke", *options), 2, word)
    assert not (tmp_path / "runs").exists()


def test_a_port_in_use_is_an_environment_error(peakday):
    with contextlib.closing(listen()) as taken:
        port = taken.getsockname()[1]
        one_line(peakday("up", "--port", str(port), "--quiet"), 5, str(port), "already in use")


def test_a_silent_assistant_is_an_environment_error(refused, tmp_path):
    listener = listen()
    port = listener.getsockname()[1]
    listener.close()
    url = f"http://127.0.0.1:{port}"
    one_line(refused("run", "smoke", "--target", f"assistant={url}", "--quiet"), 5, url, "does not answer")
    assert not (tmp_path / "runs").exists()


def test_a_target_that_is_not_declared_is_refused(refused, tmp_path):
    result = refused("run", "smoke", "--target", "assistant=http://192.0.2.1:8080", "--quiet")
    one_line(result, 2, "192.0.2.1", "owned_targets")
    assert not (tmp_path / "runs").exists()


def test_a_page_to_scrape_that_is_not_declared_is_refused(refused, tmp_path):
    result = refused("run", "smoke", "--scrape", "http://192.0.2.1:9100/metrics", "--quiet")
    one_line(result, 2, "--scrape", "192.0.2.1", "owned_targets")
    assert not (tmp_path / "runs").exists()


def test_switches_of_our_stack_are_refused_with_a_target(refused):
    target = ("--target", "assistant=http://127.0.0.1:9")
    result = refused("run", "smoke", *target, "--set", "assistant.tools.parallel=false", "--quiet")
    one_line(result, 2, "assistant", "cannot be applied")


def test_a_plan_from_a_missing_run_names_the_command_that_makes_one(refused, tmp_path):
    one_line(refused("plan", "smoke", "--run", "latest", "--quiet"), 2, "peakday run")
    assert not (tmp_path / "plans").exists()


def test_a_damaged_config_names_file_and_key(refused, tmp_path):
    (tmp_path / "peakday.yaml").write_text("schema: peakday.config/1\nowned_target: [x]\n")
    result = refused("run", "smoke", "--target", "assistant=http://127.0.0.1:9", "--quiet")
    one_line(result, 2, "peakday.yaml", "owned_target")


def test_an_unknown_verb_or_option_points_to_the_help(peakday):
    one_line(peakday("runn"), 2, "runn", "--help")
    one_line(peakday("run", "smoke", "--fast"), 2, "--fast", "--help")


def test_init_leaves_an_existing_file_alone(refused, tmp_path):
    assert refused("init").returncode == 0
    (tmp_path / "peakday.yaml").write_text("schema: peakday.config/1\n# mine\n")
    one_line(refused("init"), 2, "peakday.yaml", "already here")
    assert "mine" in (tmp_path / "peakday.yaml").read_text()


@pytest.mark.parametrize(("text", "word"), [("x: 1\n", "schema is not"), (None, "no such file")])
def test_conversations_of_no_use_are_refused_before_anything_starts(refused, tmp_path, text, word):
    """The file is named, with what is wrong."""
    if text is not None:
        (tmp_path / "own.yaml").write_text(text)
    one_line(refused("up", "--conversations", "own.yaml", "--quiet"), 2, "own.yaml", word)


def test_every_wrong_thing_of_a_file_has_a_line(refused, tmp_path):
    """Three mistakes, three lines; the first says how many more there are."""
    (tmp_path / "mine.yaml").write_text(
        "extends: smoke\nname: mine\nseed: x\ndemand: {interactions: {peak_per_s: -5}}\nload: {drain_s: soon}\n"
    )
    result = refused("scenario", "validate", "mine.yaml")
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 2
    assert len(lines) == 3
    assert lines[0].endswith("(and 2 more)")
    for word in ("seed", "peak_per_s", "drain_s"):
        assert sum(word in line for line in lines) == 1
    assert all(line.startswith("peakday: mine.yaml: ") for line in lines)


@pytest.mark.parametrize("url", ["http://", "http:///x", "http://127.0.0.1:99999", "http://10.0.0.9:80"])
def test_a_bad_address_to_compare_with_names_its_own_option(refused, url):
    """`--against`, and not the `--target` that was never typed."""
    one_line(refused("check", "smoke", "--only", "regression", "--against", url, "--quiet"), 2, "--against", url)


@pytest.mark.parametrize("words", [(), ("plan",), ("aws",)], ids=["nothing", "plan", "aws"])
def test_a_command_without_words_shows_its_help_as_it_stands(refused, words):
    """Lines are lines: what is ours is not escaped as a stranger's text is."""
    result = refused(*words)
    assert result.returncode == 2
    lines = result.stderr.splitlines()
    assert lines[0] == " ".join(["Usage: peakday", *words, "[OPTIONS] COMMAND [ARGS]..."])
    assert "Commands:" in lines
    assert "\\n" not in result.stderr


@pytest.mark.parametrize("name", ["peakday", "checks.yaml"])
def test_a_scenario_never_becomes_a_file_of_settings(refused, tmp_path, name):
    """Every command of the folder would read it, and refuse to start."""
    one_line(refused("scenario", "new", name), 2, "its own settings")
    assert not list(tmp_path.iterdir())


def test_settings_that_are_no_file_are_not_passed_over(refused, tmp_path):
    """A folder or a link to nothing in their place: what they declare is not known."""
    (tmp_path / "peakday.yaml").symlink_to(tmp_path / "nothing")
    one_line(refused("run", "smoke", "--target", "assistant=http://127.0.0.1:9"), 2, "peakday.yaml", "no such file")
