"""What-ifs: the same figures as the command's, an address that holds the question, and what is kept of it."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import threading
from functools import partial
from types import SimpleNamespace

import pytest
from starlette.datastructures import QueryParams

from capacity.plan import load_plan
from capacity.simulator.memory import Memory
from dashboards.numbers.bridge import bridge
from peakday.cli import main
from peakday.serve.planning.form import groups, unlisted
from peakday.serve.planning.planner import Planner
from peakday.serve.planning.question import Question, QuestionError
from peakday.serve.planning.saving import save_scenario
from peakday.serve.planning.worker import LEFT, STOP, answer, work
from peakday.serve.what_if import _answer
from scenarios.loading import load_scenario, scenario_hash

CHIPS = ("capacity.own.custom-8b.chips=[trainium1]", "capacity.own.planner.chips=[trainium1]")
"""One chip a model: what the tests simulate."""
PEAK = "demand.interactions.peak_per_s={low: 5, mid: 9, high: 14, confidence: 0.9}"
ASKED = Question(
    "smoke", (*CHIPS, PEAK, "quotas.nova-pro.rpm=500"), ("tokens.claude-sonnet.output_usd_per_mtok=10",), "none"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("folder")


@pytest.fixture(scope="module")
def printed(folder):
    """What the what-if's own command made, in its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as ended:
            main([*shlex.split(ASKED.command)[1:], "--out", "plans/printed", "--quiet"])
        assert ended.value.code == 0
    return load_plan(folder / "plans/printed")


@pytest.fixture(scope="module")
def made(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return answer(ASKED, lambda _: None), answer(Question("smoke", CHIPS, run="none"), lambda _: None)


def test_a_what_if_is_the_commands_plan_to_the_last_digit(printed, made):
    """Every figure, warning and input; only ID and time are a record's own."""
    from peakday.serve.planning.worker import renamed

    assert renamed(made[0], printed.plan_id, printed.created_utc) == printed


def test_an_address_and_a_command_hold_the_whole_question():
    assert Question.of_query(QueryParams(ASKED.query)) == ASKED
    assert Question.of_query(QueryParams(Question("smoke", run="20260101-000000-x", seed=7).query)).seed == 7
    words = shlex.split(ASKED.command)
    assert words[:3] == ["peakday", "plan", "smoke"]
    assert [words[i + 1] for i, word in enumerate(words) if word == "--set"] == list(ASKED.sets)
    with pytest.raises(QuestionError, match="seed=one"):
        Question.of_query(QueryParams("scenario=smoke&seed=one"))


def test_a_what_if_and_its_base_are_of_one_run(records, tmp_path):
    """The base's newest valid run is named, else none: a changed scenario has another hash, and no run of its own."""
    assert Question("smoke", (PEAK,)).pinned(tmp_path).run == "none"
    assert "--run none" in Question("smoke", (PEAK,)).pinned(tmp_path).command
    assert Question("smoke", run="20260101-000000-x").pinned(tmp_path).run == "20260101-000000-x"
    folder = tmp_path / "runs" / "20260708-093015-smoke"
    shutil.copytree(records / "runs" / "20260708-093015-smoke", folder)
    info = json.loads((folder / "run.json").read_text())
    info["scenario"]["hash"] = scenario_hash(load_scenario("smoke"))
    (folder / "run.json").write_text(json.dumps(info))
    pinned = Question("smoke", (PEAK,)).pinned(tmp_path)
    assert (pinned.run, pinned.base.run) == (folder.name, folder.name)


@pytest.mark.parametrize(
    ("question", "wrong"),
    [
        (Question("../secret.yaml"), "use a name without /"),
        (Question("/etc/passwd"), "use a name without /"),
        (Question("smoke", run="/tmp/run"), "use a name without /"),
        (Question("smoke", ("demand.interactions.shape={kind: trace, file: /etc/passwd}",)), "never by an address"),
        (Question("smoke", ("capacity.draws=1000000000",)), "at most 10,000 draws"),
        (Question("smoke", ("capacity={draws: 1000000000}",)), "name the key in it"),
    ],
)
def test_an_address_reads_no_file_outside_the_folder_and_asks_for_no_more_than_a_page_takes(question, wrong, tmp_path):
    with pytest.raises(QuestionError, match=wrong):
        question.pinned(tmp_path)


def test_the_form_shows_what_is_set_beside_what_was():
    """A field's value and base come from the two scenarios; what has no field stays a line."""
    now = load_scenario("smoke", (*ASKED.sets, "capacity.draws=500"))
    listed = groups(now, load_scenario("smoke"), ASKED.prices)
    fields = {field.name: field for group in listed for field in group.fields}
    assert (fields["demand.interactions.peak_per_s.mid"].value, fields["demand.interactions.peak_per_s.mid"].base) == (
        "9",
        "6",
    )
    assert fields["capacity.own.custom-8b.chips"].chosen == ("trainium1",)
    assert "h200-141gb sxm" in fields["capacity.own.custom-8b.chips"].choices
    assert fields["quotas.nova-pro.rpm"].value == "500"
    assert fields["price:tokens.claude-sonnet.output_usd_per_mtok"].value == "10"
    assert unlisted((*ASKED.sets, "capacity.draws=500"), ASKED.prices, listed) == ("capacity.draws=500",)


class _Waits(Planner):
    """A planner whose process answers when it is told to."""

    def __init__(self, base):
        super().__init__(base)
        self.asked, self.may_answer = [], threading.Event()

    def _exchange(self, question, tell):
        self.asked.append(question)
        self.may_answer.wait()
        return "refused", "no plan"


def test_who_goes_away_while_waiting_is_not_planned_for(tmp_path):
    """A page that is closed leaves the queue; what is under way is answered, and the next question comes after it."""
    first, second, third = (Question("smoke", seed=seed) for seed in range(3))

    async def ask():
        planner = _Waits(tmp_path)
        waiting = [asyncio.ensure_future(planner.plan(one, lambda _: None)) for one in (first, second, third)]
        while not planner.asked:
            await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[1].cancel()
        planner.may_answer.set()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        return planner.asked, ended

    asked, ended = asyncio.run(ask())
    assert asked == [first, third]
    assert [type(one) for one in ended] == [asyncio.CancelledError, asyncio.CancelledError, QuestionError]


class _Stops(_Waits):
    """One whose process leaves what it plans when it is told to, and refuses what it is asked again."""

    def _stop(self):
        self.stopped = len(self.asked)
        self.may_answer.set()

    def _exchange(self, question, tell):
        before = len(self.asked)
        kind, content = super()._exchange(question, tell)
        return (LEFT, "") if getattr(self, "stopped", None) == before + 1 else (kind, content)


def test_what_nobody_waits_for_any_more_ends_and_the_next_question_is_planned(tmp_path):
    """Only the last of a question's readers ends it; one that comes as it ends has it planned again."""
    first, second = (Question("smoke", seed=seed) for seed in range(2))

    async def ask():
        planner = _Stops(tmp_path)
        readers = [asyncio.ensure_future(planner.plan(one, lambda _: None)) for one in (first, first, second)]
        while not planner.asked:
            await asyncio.sleep(0)
        readers[0].cancel()
        await asyncio.wait({readers[0]})
        assert not hasattr(planner, "stopped")
        readers[1].cancel()
        await asyncio.wait({readers[1]})
        late = asyncio.ensure_future(planner.plan(first, lambda _: None))
        ended = await asyncio.gather(readers[2], late, return_exceptions=True)
        return planner.asked, ended, planner._waiting

    asked, ended, waiting = asyncio.run(ask())
    assert asked[0] == first
    assert sorted(asked[1:], key=lambda one: one.seed) in ([first, second], [first, first, second])
    assert [type(one) for one in ended] == [QuestionError, QuestionError]
    assert not waiting


def test_the_planning_process_leaves_a_question_when_it_is_told_to_and_takes_the_next(tmp_path, monkeypatch):
    """At the next look-up of what was simulated; a signal that comes too late has the next question asked again."""
    replies, asked, looked_up = [], [], Memory(1)
    early, late, again = (Question("smoke", seed=seed) for seed in range(3))

    def received():
        yield early
        os.kill(os.getpid(), STOP)
        yield late
        yield again
        raise EOFError

    def planned(question, tell):
        asked.append(question)
        if question is early:
            os.kill(os.getpid(), STOP)
        looked_up.get("rate", lambda: 1)
        raise QuestionError("no plan")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("peakday.serve.planning.worker.answer", planned)
    before = signal.getsignal(STOP)
    try:
        work(SimpleNamespace(recv=partial(next, received()), send=replies.append), str(tmp_path))
    finally:
        signal.signal(STOP, before)
    assert replies == [(LEFT, ""), (LEFT, ""), ("refused", "no plan")]
    assert asked == [early, late, again]


def test_a_page_that_is_closed_takes_its_question_back():
    """The stream's end cancels what it waited for, and leaves no task behind."""

    async def ask():
        planner = _Never()
        stream = _answer(planner, Question("smoke"))
        await anext(stream)
        await stream.aclose()
        await asyncio.sleep(0)
        return planner.cancelled, len(asyncio.all_tasks())

    assert asyncio.run(ask()) == (True, 1)


class _Never:
    """A planner that never answers."""

    cancelled = False

    async def plan(self, question, tell):
        tell("waiting")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class _Here:
    """A planner without a process."""

    def __init__(self, plans):
        self.plans = plans

    async def plan(self, question, tell):
        tell("planning")
        if question not in self.plans:
            raise QuestionError("capacity.service_level: 2 is no share")
        return self.plans[question]


def events(question, plans):
    async def collect():
        return [text async for text in _answer(_Here(plans), question)]

    parts = [text.strip().split("\n") for text in asyncio.run(collect())]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]


def test_the_answer_bridges_from_the_base_to_the_cent(made):
    """Progress, then one answer: cost, bridge, first limit, fleets, hours and causes of the range."""
    plan, base = made
    heard = events(ASKED, {ASKED: plan, ASKED.base: base})
    assert [name for name, _ in heard] == ["progress", "progress", "answer"]
    data = heard[-1][1]
    cents = [round(100 * step.usd) for step in bridge(base, plan).steps if step.usd]
    assert [round(100 * step["usd"]) for step in data["bridge"]["steps"]] == cents
    assert round(100 * data["bridge"]["from"]) + sum(cents) == round(100 * data["bridge"]["to"])
    assert data["first_limit"]["now"] == plan.first_limit_exceeded
    bought = sum(supply.chosen.bought_chips for supply in plan.supplies if supply.chosen)
    assert sum(fleet["chips"] for fleet in data["chips"]) == bought
    assert sum(region["flat"] for region in data["hours"]) == bought
    assert max(cause["share"] for cause in data["range"]["causes"]) == max(v.share for v in plan.variance)
    assert data["command"] == ASKED.command


def test_a_question_that_cannot_be_planned_says_why(made):
    assert events(Question("smoke", ("capacity.service_level=2",)), {Question("smoke"): made[1]})[-1] == (
        "refused", {"error": "capacity.service_level: 2 is no share"},
    )  # fmt: skip


def test_a_what_if_is_kept_as_a_scenario_that_loads_as_the_same(tmp_path, monkeypatch):
    """Regions and other tables are kept whole, since a file that extends another replaces them."""
    monkeypatch.chdir(tmp_path)
    sets = ("event.regions.us-east-1.share=0.5", "event.regions.us-west-2.share=0.5", PEAK, *CHIPS, "mix.think_s.max=4")
    path = save_scenario(Question("smoke", sets), "more_west", tmp_path)
    assert path.read_text().startswith("# Saved from a what-if: peakday plan smoke")
    assert scenario_hash(load_scenario(path)) == scenario_hash(load_scenario("smoke", sets))
    for name, wrong in (("more_west", "is there already"), ("../x", "is no name")):
        with pytest.raises(QuestionError, match=wrong):
            save_scenario(Question("smoke", sets), name, tmp_path)
    with pytest.raises(QuestionError, match="prices are no part of a scenario"):
        save_scenario(ASKED, "priced", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["more_west.yaml"]


def test_a_what_if_is_kept_as_a_record(client, records, made, monkeypatch):
    client.app._app.state.planner = _Here({ASKED: made[0]})
    body = {"scenario": ASKED.scenario, "sets": ASKED.sets, "prices": ASKED.prices, "run": "none", "seed": None}
    kept = client.post("/what-if/plan", body).json
    plan = load_plan(records / "plans" / kept["id"])
    assert plan.event_cost_usd == made[0].event_cost_usd
    assert plan.plan_id == kept["id"]
    assert (records / "plans" / kept["id"] / "report.html").is_file()


def test_the_page_of_a_question_that_is_wrong_says_what_is(client):
    text = client.get("/what-if?scenario=smoke&set=capacity.service_level%3D2").text
    assert "capacity.service_level" in text
    assert client.get("/what-if?scenario=nowhere").status == 400
