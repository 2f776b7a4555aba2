"""The pages in a real browser: a planner's twelve questions, an event that is dragged, and who can read them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.datastructures import QueryParams

from capacity.plan import load_plan
from dashboards.html.plan.page import quota_short
from dashboards.numbers.bridge import bridge
from dashboards.numbers.plan import plan_numbers
from dashboards.numbers.run import find
from peakday.cli import main
from peakday.serve.planning.question import Question
from scenarios.loading import load_scenario
from tests.dashboards.browser import CHROMIUM, DESKTOP, PHONE, browser
from tests.peakday.watch.test_watch import usage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
LOOKS = {"wide": (DESKTOP, "light"), "phone": (PHONE, "dark"), "wide-dark": (DESKTOP, "dark")}
SMALL = """extends: smoke
name: small
capacity:
  own:
    custom-8b: {chips: [trainium1], ttft_s_p99: 1.0, tpot_s_p99: 0.1}
    planner: {chips: [trainium1], ttft_s_p99: 0.3, tpot_s_p99: 0.05}
"""
SET = """(key, value) => {
  const control = document.querySelector(`[data-key="${key}"]`);
  if (control.type === "checkbox") control.checked = value;
  else if (control.dataset.kind === "many")
    for (const box of control.querySelectorAll("input")) box.checked = value.includes(box.value);
  else control.value = value;
  control.dispatchEvent(new Event("input", { bubbles: true }));
}"""
QUESTIONS = {
    "What does the event cost?": "",
    "What does 20% more demand in the west cost, and which quota breaks?": (
        "document.getElementById('more-region').value = 'event.regions.us-west-2.share';"
        "document.getElementById('more').click()"
    ),
    "What does it take to be short in 5% of futures instead of 10%?": ("capacity.service_level", "0.95"),
    "What is worth buying if an interaction brings 2 USD?": ("capacity.value_per_interaction_usd", "2"),
    "What does a first token within 0.7 s cost?": ("capacity.own.custom-8b.ttft_s_p99", "0.7"),
    "What if nova-pro answered the simple turns?": ("assistant.policy.simple", "nova-pro"),
    "What if claude-sonnet read only 60% from its cache?": ("capacity.hit_ratios.claude-sonnet", "0.6"),
    "Would inferentia2 be cheaper, were it allowed?": ("capacity.own.custom-8b.chips", ["inferentia2", "trainium1"]),
    "What is exceeded first with 1,000 requests a minute of claude-sonnet?": (
        "quotas.claude-sonnet.rpm",
        "1000",
    ),
    "What does it save to lose no zone?": ("capacity.resilience.zones_lost", "0"),
    "What if a trn1.32xlarge cost 15 USD an hour?": ("price:instances.trn1.32xlarge.usd_per_hour", "15"),
    "What if the shared prompt grew to 3,600 tokens?": ("capacity.assumed_tokens.shared_prefix_tokens", "3600"),
}


@contextlib.asynccontextmanager
async def serving(folder, *options):
    """`peakday serve` as a process of its own; its address, and the process."""
    command = [sys.executable, "-m", "peakday", "serve", "--port", "0", "--json", "--quiet", *options]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        line = await asyncio.to_thread(process.stdout.readline)
        yield json.loads(line)["url"].rstrip("/"), process
    finally:
        process.terminate()
        process.wait(300)
        process.stdout.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, records):
    """A folder of records with a small scenario of its own."""
    base = tmp_path_factory.mktemp("desk")
    for name in ("runs", "plans", "checks"):
        shutil.copytree(records / name, base / name)
    (base / "small.yaml").write_text(SMALL)
    return base


async def until(tab, expression, within_s=600.0):
    """The first value of an expression that counts as true; a plan takes minutes where the machine is busy."""
    for _ in range(int(within_s / 0.1)):
        if value := await tab.evaluate(expression):
            return value
        await asyncio.sleep(0.1)
    raise AssertionError(f"never true: {expression}; {await tab.evaluate('document.body.innerText')}")


async def answered(tab, before):
    """The query of the answer that is shown, once it is another than before."""
    now = "document.documentElement.dataset.answered"
    return await until(tab, f"{now} !== {json.dumps(before)} && {now}")


async def put(tab, question):
    """Change the form as a planner does."""
    if isinstance(question, tuple):
        await tab.evaluate(f"({SET})({json.dumps(question[0])}, {json.dumps(question[1])})")
    else:
        await tab.evaluate(question)


SHOWN = """JSON.stringify({
  tiles: [...document.querySelectorAll("#tiles .tile")].map(
    e => [".label", ".v"].map(part => e.querySelector(part).textContent)),
  limit: document.getElementById("limit").textContent,
  short: [...document.querySelectorAll("#short li")].map(e => e.textContent),
  bridge: document.getElementById("bridge-sentence").textContent,
  chips: [...document.querySelectorAll("#chips .number")].map(e => e.textContent),
  command: document.getElementById("command").textContent,
  address: location.href,
})"""


async def asked_all(url):
    """Every question put in the browser, and what it showed."""
    seen = {}
    async with browser() as tab:
        for question, change in QUESTIONS.items():
            await tab.open(f"{url}/what-if?scenario=small.yaml")
            base = await answered(tab, None)
            if change:
                await put(tab, change)
                await answered(tab, base)
            seen[question] = json.loads(await tab.evaluate(SHOWN))
            assert tab.seen.errors == []
    return seen


@pytest.fixture(scope="module")
def twelve(folder):
    async def ask():
        async with serving(folder) as (url, _):
            return await asked_all(url)

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def commands(folder, twelve):
    """What each printed command makes at a terminal, by question."""
    plans = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("signal.signal", lambda *_: None)
        for number, (question, shown) in enumerate(twelve.items()):
            with pytest.raises(SystemExit) as ended:
                main([*shlex.split(shown["command"])[1:], "--out", f"answers/{number}", "--quiet"])
            assert ended.value.code == 0, question
            plans[question] = load_plan(Path("answers") / str(number))
    return plans


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_planners_question_is_answered_as_the_command_answers_it(question, twelve, commands):
    """Cost, first limit, quotas short, fleets and bridge on the page are those of the plan that its command makes."""
    shown, plan, base = twelve[question], commands[question], commands["What does the event cost?"]
    numbers = plan_numbers(plan)
    tiles = dict(shown["tiles"])
    assert tiles["Cost of the event"] == find(numbers, "event_cost_usd").text
    assert tiles["Cost per interaction, all"] == find(numbers, "cost_usd_per_interaction", intent="all").text
    assert shown["limit"] == plan.first_limit_exceeded
    assert shown["short"] == [f"short: {text}" for text in quota_short(plan)]
    assert shown["bridge"] == bridge(base, plan).sentence
    assert shown["chips"] == [f"{s.chosen.bought_chips:,} {s.chosen.chip}" for s in plan.supplies if s.chosen]
    asked = Question.of_query(QueryParams(urlsplit(shown["address"]).query))
    assert asked.command == shown["command"]
    assert (asked != asked.base) == bool(QUESTIONS[question])


def test_more_demand_in_the_west_is_just_that(twelve):
    """The peak grows by 20% of the west's share, 0.4 of it here: by 8%; the east's own demand stays what it was."""
    address = twelve["What does 20% more demand in the west cost, and which quota breaks?"]["address"]
    more = load_scenario("smoke", parse_qs(urlsplit(address).query)["set"])
    before = load_scenario("smoke")
    for part in ("low", "mid", "high"):
        was = getattr(before.demand.interactions.peak_per_s, part)
        now = getattr(more.demand.interactions.peak_per_s, part)
        assert now == pytest.approx(was * 1.08)
        for region, ratio in (("us-east-1", 1.0), ("us-west-2", 1.2)):
            demand = now * more.event.regions[region].share
            assert demand == pytest.approx(was * before.event.regions[region].share * ratio, rel=1e-5)


AXE = """(async () =>
  (await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa"], iframes: false })).violations
  .map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join("; ")}`))()"""


@pytest.mark.timeout(1800)
def test_every_page_is_accessible_fits_the_screen_and_asks_only_us(folder):
    """axe finds nothing, in light and dark; nothing scrolls sideways on a phone; no request leaves the address."""
    axe = files("axe_core_python").joinpath("axe.min.js").read_text()
    pages = {
        "/": "true",
        "/records/plans/20260708-093020-smoke": "true",
        "/compare?id=plans/20260708-093020-smoke&id=plans/20260708-093010-smoke": "true",
        "/what-if?scenario=small.yaml": "document.documentElement.dataset.answered",
        "/event?scenario=prime_day": "document.documentElement.dataset.pictured",
        "/chat": "true",
        "/day": "true",
        "/day/watch?plan=20260708-093020-smoke&source=usage.csv": "true",
    }
    usage(folder / "usage.csv", enumerate(range(9_000, 16_000, 250)))

    async def tour():
        async with serving(folder) as (url, _), browser() as tab:
            for path, ready in pages.items():
                for look, (size, scheme) in LOOKS.items():
                    await tab.open(url + path, size, scheme)
                    await until(tab, ready)
                    await tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
                    await tab.evaluate(axe)
                    assert await tab.evaluate(AXE) == [], (path, look)
                    assert await tab.evaluate("document.documentElement.scrollWidth") <= size[0], (path, look)
                    assert tab.seen.errors == [], (path, look)
                    strangers = [one for one in tab.seen.requests if not one.startswith((url, "data:", "blob:"))]
                    assert strangers == [], (path, look)

    asyncio.run(tour())


@pytest.mark.timeout(900)
def test_an_event_is_drawn_by_mouse_keys_and_text(folder):
    """A drag of the middle handle upwards raises the peak in the YAML; keys do too; typed YAML moves the handle."""

    async def draw():
        async with serving(folder) as (url, _), browser() as tab:
            await tab.open(f"{url}/event?scenario=smoke")
            await until(tab, "document.documentElement.dataset.pictured")
            x, y = await tab.evaluate(
                "(() => { const at = document.querySelector('[data-handle=mid]').getBoundingClientRect();"
                " return [at.x + at.width / 2, at.y + at.height / 2] })()"
            )
            for kind, to in (
                ("mousePressed", y),
                ("mouseMoved", y - 20),
                ("mouseMoved", y - 40),
                ("mouseReleased", y - 40),
            ):
                await tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=to, button="left", buttons=1, clickCount=1)
            await until(tab, "document.getElementById('yaml').value.includes('peak_per_s')")
            dragged = float(await tab.evaluate("document.getElementById('mid').value"))
            await tab.evaluate("document.querySelector('[data-handle=mid]').focus()")
            await tab.call(
                "Input.dispatchKeyEvent", type="keyDown", key="ArrowUp", code="ArrowUp", windowsVirtualKeyCode=38
            )
            raised = await until(
                tab, f"Number(document.getElementById('mid').value) > {dragged} && document.getElementById('mid').value"
            )
            focused = await tab.evaluate("document.activeElement.dataset.handle")
            await tab.evaluate(
                "(() => { const text = document.getElementById('yaml'); text.value = 'extends: smoke\\nname: typed\\n';"
                " text.dispatchEvent(new Event('input', { bubbles: true })) })()"
            )
            typed = await until(
                tab, "document.getElementById('mid').value === '6' && document.getElementById('name').textContent"
            )
            assert tab.seen.errors == []
            return dragged, float(raised), focused, typed

    dragged, raised, focused, typed = asyncio.run(draw())
    assert dragged > 6
    assert raised == pytest.approx(dragged * 1.05, rel=1e-3)
    assert (focused, typed) == ("mid", "typed")


@pytest.mark.timeout(900)
def test_a_killed_serve_loses_nothing_and_leaves_nothing(folder):
    """kill -9 while it plans: no process stays, the records are whole, and the address asks the same again."""
    address = "/what-if/answer?scenario=small.yaml&set=capacity.service_level%3D0.8"

    async def kill():
        import aiohttp
        import psutil

        before = {path: path.read_bytes() for path in folder.rglob("*.json")}
        async with serving(folder) as (url, process), aiohttp.ClientSession() as session:
            async with session.get(url + address) as answer:
                while b"simulating" not in await answer.content.readline():
                    pass
                children = psutil.Process(process.pid).children(recursive=True)
                os.kill(process.pid, 9)
            for _ in range(100):
                if not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
                    break
                await asyncio.sleep(0.2)
            else:
                raise AssertionError(f"left: {children}")
            assert children
        assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before
        async with (
            serving(folder) as (url, _),
            aiohttp.ClientSession() as session,
            session.get(url + address) as answer,
        ):
            return await answer.text()

    assert "event: answer" in asyncio.run(kill())
