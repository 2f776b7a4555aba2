"""A scenario is checked where it enters: one line says what is wrong, where, and how to fix it."""

import re
from importlib.resources import files

import pytest
import yaml

from scenarios.loading import ScenarioError, json_values, library, load_scenario, scenario_hash

EVENT = """
schema: peakday.scenario/1
name: mine
event: {start: 2026-01-01T00:00:00Z, length_s: 1h, regions: {us-east-1: {share: 1}}}
demand: {interactions: {peak_per_s: 2}}
mix: {intents: {deals: {weight: 1}}}
"""


def write(folder, text, name="mine.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def error_of(path, *sets):
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, sets)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(library()))
def test_every_scenario_of_the_library_loads(name):
    """A shipped scenario is valid, is named as its file, and says what it is."""
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.description


def test_a_child_starts_from_the_scenario_it_extends(tmp_path):
    """Own keys are laid over the parent's, mapping by mapping."""
    path = write(tmp_path, "extends: smoke\nname: mine\nslo: {ttft_s_p95: 9}\n")
    child, parent = load_scenario(path), load_scenario("smoke")
    assert child.slo.ttft_s_p95 == 9
    assert child.slo.ttft_s_p99 == parent.slo.ttft_s_p99
    assert child.mix == parent.mix


def test_a_table_of_shares_replaces_the_parents(tmp_path):
    """Regions stated in a child are all the regions there are."""
    path = write(
        tmp_path, "extends: smoke\nname: mine\nevent: {regions: {eu-west-1: {share: 1, locales: {en_GB: 1}}}}\n"
    )
    assert list(load_scenario(path).event.regions) == ["eu-west-1"]


def test_arrivals_of_another_process_replace_the_parents(tmp_path):
    """A child that turns to Poisson does not keep its parent's CV."""
    text = "extends: prime_day\nname: mine\ndemand: {interactions: {arrivals: {process: poisson}}}\n"
    assert load_scenario(write(tmp_path, text)).demand.interactions.arrivals.cv == 1


def test_a_parents_path_counts_from_the_childs_folder(tmp_path):
    """`extends: base.yaml` means the file beside this one, from whatever folder the command runs."""
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep", EVENT, "base.yaml")
    child = write(tmp_path / "deep", "extends: base.yaml\nname: other\n", "child.yaml")
    assert load_scenario(child).name == "other"


def test_an_empty_mapping_clears_what_the_parent_states(tmp_path):
    write(tmp_path, "extends: smoke\nname: parent\nassistant: {policy: {by_intent: {reorder: nova-pro}}}\n", "p.yaml")
    child = "extends: p.yaml\nname: child\nassistant: {policy: {by_intent: {}}}\n"
    assert load_scenario(tmp_path / "p.yaml").assistant.policy.by_intent
    assert not load_scenario(write(tmp_path, child, "c.yaml")).assistant.policy.by_intent
    assert not load_scenario(tmp_path / "p.yaml", ["assistant.policy.by_intent={}"]).assistant.policy.by_intent


def test_a_circle_of_extends_is_named(tmp_path):
    """Two files that extend each other are an error, not a hang."""
    write(tmp_path, "extends: b.yaml\n", "a.yaml")
    write(tmp_path, "extends: a.yaml\n", "b.yaml")
    assert "circle" in error_of(tmp_path / "a.yaml")


def test_set_reaches_any_key():
    """`--set a.b=c` is YAML at a dotted path, an index into a stated list included."""
    sets = ["demand.interactions.peak_per_s=20", "demand.interactions.shape.of.0.trough_ratio=0.3", "event.length_s=1d"]
    scenario = load_scenario("prime_day", sets)
    assert scenario.demand.interactions.peak_per_s.mid == 20
    assert scenario.demand.interactions.shape.of[0].trough_ratio == 0.3
    assert scenario.event.length_s == 86400


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("demand.interactions.peak_per_s=-3", ["peak_per_s=-3", "expected 0 or more"]),
        ("demand.interactions.peak_per_s=fast", ["peak_per_s=fast", "expected a number, or {low, mid, high"]),
        ("event.start=2025-01-01", ["event.start", "2025-01-01", "with its zone"]),
        ("event.start=tomorrow", ["event.start", "tomorrow", "with its zone"]),
        ("event=3", ["event=3", "mapping"]),
        ("demand.interactions.peak_per_s=.nan", ["peak_per_s", "nan"]),
        ("event.length_s=4 parsecs", ["event.length_s", "4 parsecs", "90s, 4h or 18h10m"]),
        ("mix.stay_ratio=30%", ["mix.stay_ratio", "write 0.3 for 30%"]),
        ("mix.stay_ratio=true", ["mix.stay_ratio", "not true or false"]),
        ("mix.stay_ration=0.3", ["mix", "'stay_ration'", "did you mean stay_ratio?"]),
        ("mix.intents.deals.weight=0.18", ["mix", "intent weights sum to 1.1, expected 1; lower one by 0.1"]),
        ("event.regions.us-east-1.share=0.5", ["event", "region shares sum to 0.9", "raise one by 0.1"]),
        ("event.regions.us-east-1.time_zone=Mars/Base", ["time_zone", "Mars/Base", "IANA"]),
        ("event.regions.us-east-1.locales={xx_XX: 1}", ["event.regions.us-east-1.locales", "xx_XX", "en_US"]),
        ("assistant.policy.simple=gpt", ["assistant.policy.simple", "'gpt'", "nova-pro"]),
        ("models=[nova-pro, claude-sonnet, custom-8b, planner, nova-2-lite, nope]", ["models", "nope"]),
        ("demand.interactions.shape={kind: wobble}", ["demand.interactions.shape", "wobble", "diurnal"]),
        ("demand.interactions.shape={kind: trace, file: nowhere.csv}", ["nowhere.csv", "no such file"]),
        ("faults=[{kind: throttle, length_s: 1s, region: moon}]", ["faults.0.region", "moon", "us-west-2"]),
        ("mix.customers.population=5000", ["mix.customers.population", "world.customers"]),
        ("name.first=x", ["name", "no mapping"]),
        ("event.regions.us-west-2={time_zone: UTC}", ["event.regions.us-west-2.share", "missing"]),
        ("demand.interactions.shape={kind: sum, of: []}", ["demand.interactions.shape", "of", "expected at least 1"]),
        ("demand.interactions.arrivals={process: replay}", ["demand.interactions.arrivals", "file", "give both"]),
        ("demand.interactions.arrivals={process: replay, file: no.csv}", ["no.csv", "no such file"]),
        ("demand.interactions.arrivals={process: gamma, cv: 0}", ["arrivals.cv", "0"]),
        ("demand.interactions.arrivals={process: mmpp, cv: 3}", ["demand.interactions.arrivals", "cv: mmpp", "gamma"]),
        (
            "demand.interactions.clients={app: {share: 1, cv: 2}}",
            ["demand.interactions", "clients.app.cv", "process: gamma"],
        ),
        ("models.9=x", ["models", "expected a list"]),
        ("nonsense", ["nonsense", "a.b=value"]),
    ],
)
def test_a_bad_value_is_one_line_with_place_value_and_fix(setting, words):
    """What is wrong, where and how to fix it, whatever is wrong."""
    message = error_of("smoke", setting)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (EVENT.replace("name: mine", "name: &a mine\ndescription: *a"), "aliases are not allowed"),
        (EVENT + "name: again\n", "'name' stands twice"),
        ("- a\n- list\n", "expected keys and values"),
        ("", "empty"),
        ("a: [1, 2\n", "line 2"),
        ("a: \x00", "it holds NUL"),
        ("[" * 3000, "nested too deeply"),
        (EVENT.replace("demand: {interactions: {peak_per_s: 2}}", ""), "demand: missing"),
        ("extends: [a]\n", "give a name or a path"),
    ],
)
def test_yaml_that_is_no_scenario_is_one_line(tmp_path, text, words):
    """Aliases, doubled keys, lists, emptiness, broken syntax and bottomless nesting are each refused by name."""
    assert words in error_of(write(tmp_path, text))


def test_a_file_that_is_no_text_is_one_line(tmp_path):
    """Bytes that are not UTF-8 are an error with the file's name."""
    path = tmp_path / "bytes.yaml"
    path.write_bytes(b"\xe9t\xe9: 1")
    assert "UTF-8" in error_of(path)


def test_a_setting_with_a_line_break_is_still_one_line():
    """What is echoed into a message cannot break it in two."""
    assert "fix the YAML" in error_of("smoke", "assistant=\x1f\n")


def test_an_unknown_name_lists_the_library():
    """A typo in the name shows what there is."""
    assert "smoke" in error_of("prime_dya")


def test_the_hash_is_of_the_meaning(tmp_path):
    """A name, a comment or the order of keys changes nothing; a rate does; a trace counts by its content."""
    base = scenario_hash(load_scenario(write(tmp_path, EVENT)))
    assert scenario_hash(load_scenario(write(tmp_path, "# hello\n" + EVENT.replace("mine", "other")))) == base
    assert scenario_hash(load_scenario(write(tmp_path, EVENT.replace("peak_per_s: 2", "peak_per_s: 3")))) != base
    hashes = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.csv").write_text("period,count\n0,1\n60,2\n")
        shape = "{peak_per_s: 2, shape: {kind: trace, file: t.csv}}"
        path = write(tmp_path / folder, EVENT.replace("{peak_per_s: 2}", shape))
        hashes.add(scenario_hash(load_scenario(path)))
    assert len(hashes) == 1


def test_resolved_values_parse_back_to_the_same_scenario(tmp_path):
    """What workers read is the whole scenario, and a scenario file itself."""
    scenario = load_scenario("prime_day")
    path = write(tmp_path, yaml.safe_dump(json_values(scenario)), "again.yaml")
    assert load_scenario(path) == scenario


ORIGIN = re.compile(r"assum|inferred|premise|derived|[RS]: ")


def enclosing(lines, number):
    """A line, the comments above it, and the same for every block that encloses it."""
    while True:
        yield lines[number]
        above = number - 1
        while above >= 0 and lines[above].lstrip().startswith("#"):
            yield lines[above]
            above -= 1
        depth = len(lines[number]) - len(lines[number].lstrip())
        blocks = [i for i in range(number) if lines[i].strip() and not lines[i].lstrip().startswith("#")]
        outer = [i for i in blocks if len(lines[i]) - len(lines[i].lstrip()) < depth]
        if not outer:
            return
        number = outer[-1]


@pytest.mark.parametrize("name", sorted(library()))
def test_every_number_of_the_library_says_where_it_comes_from(name):
    """A comment on its line, above it, or on a block around it: R or S and the source, inferred, derived or assumed."""
    lines = files("scenarios").joinpath("library", f"{name}.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        holds_number = re.search(r"(: |- ).*\d", line.split("#")[0])
        if holds_number and not re.match(r"(schema|seed|name|description|extends):", line):
            comments = [text.partition("#")[2] for text in enclosing(lines, number)]
            assert any(ORIGIN.search(comment) for comment in comments), line


@pytest.mark.parametrize(
    ("setting", "value"),
    [("demand.interactions.peak_per_s=010", 10.0), ("event.length_s=0600", 600.0), ("seed=0o17", 15)],
)
def test_a_number_is_decimal_whatever_it_begins_with(setting, value):
    """By YAML 1.2: no octal 010."""
    scenario = load_scenario("smoke", [setting])
    assert value in (scenario.demand.interactions.peak_per_s.mid, scenario.event.length_s, scenario.seed)


@pytest.mark.parametrize(
    "start", ["20261127", "1795737600", "'20261127'", "'1795737600'", "2026-11-27", "1:30", "true"]
)
def test_a_start_is_a_time_with_its_zone_and_no_number(start):
    """Whoever writes 20261127 means a day, and gets no second of 1970."""
    assert "expected a time with its zone" in error_of("smoke", f"event.start={start}")


@pytest.mark.parametrize("length", ["1:30", "1_000", "0x", "1e"])
def test_a_number_of_no_known_form_is_no_number(length):
    """1:30 is text, not ninety."""
    assert "event.length_s" in error_of("smoke", f"event.length_s={length}")


def test_a_prompt_beyond_a_models_window_is_refused():
    """300,000 tokens do not fit 200,000; a model of a million takes them."""
    routes = "assistant.policy={simple: claude-sonnet, complex: claude-sonnet, by_intent: {}}"
    long = "capacity.assumed_tokens.shared_prefix_tokens=300000"
    assert "exceeds the window of claude-sonnet, 200,000" in error_of("smoke", routes, long)
    assert load_scenario("smoke", [routes.replace("claude-sonnet", "nova-2-lite"), long])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("smoke", "6efd7e956f03fbd3"), ("region_loss", "41430f2eb25f4f73"), ("prime_day", "1186c4a35eef0c85")],
)
def test_a_key_that_is_new_and_unset_changes_no_hash(name, expected):
    """Hashes of before `hit_ratios` and its kin: runs that were made then are still this scenario's."""
    assert scenario_hash(load_scenario(name)) == expected
