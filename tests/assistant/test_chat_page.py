"""The chat page: its files, its guards, what it shows, and nine families of requests in a real browser."""

import asyncio
import json
import re
from contextlib import contextmanager
from importlib.resources import files

import pytest

from assistant.chat import routes
from host.control_token import page_address
from tests.assistant.shopping import Shopper, smoke_world
from tests.dashboards.browser import CHROMIUM, DESKTOP, PHONE, browser

FILES = ["/", "/chat.js", "/chat.css"]


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return smoke_world(tmp_path_factory.mktemp("worlds"))


@pytest.fixture
def shopper(world, tmp_path):
    made = Shopper(world, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("path", FILES)
def test_a_page_of_our_own_and_nothing_else_may_run(shop, path):
    answer = shop.request("GET", path)
    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in policy


def test_no_file_of_the_page_names_another_address():
    """No font, script, picture or style comes from anywhere but the assistant itself."""
    text = "".join(routes.page_file(path)[0].decode() for path in FILES)
    assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_nothing_said_becomes_markup():
    script = routes.page_file("/chat.js")[0].decode()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


@pytest.mark.parametrize("path", [*FILES, "/shop/account", "/shop/products/p000017"])
def test_it_is_served_to_this_machine_alone(shop, path):
    signed = shop.signed_in()
    assert shop.request("GET", path, headers=signed, client="10.0.0.1").status == 403
    assert shop.request("GET", path, headers={**signed, "host": "shop.example"}).status == 403
    elsewhere = {**signed, "host": "127.0.0.1:8080", "origin": "http://shop.example"}
    assert shop.request("GET", path, headers=elsewhere).status == 403


def test_an_account_is_shown_to_its_own_session_alone(shopper):
    shopper.say("remember that I like blue")
    mine = shopper.request("GET", "/shop/account", headers=shopper.signed_in()).json
    assert mine["facts"] == ["I like blue"]
    assert shopper.request("GET", "/shop/account", headers=shopper.signed_in("c000002")).json["facts"] == []
    assert shopper.request("GET", "/shop/account").status == 401


def test_a_product_shows_its_thirty_days_and_the_price_it_was_moved_to(shopper):
    signed = shopper.signed_in()
    shown = shopper.request("GET", "/shop/products/p900001", headers=signed).json
    assert (len(shown["history"]), shown["price_now"]) == (30, 89.99)
    shopper.request("POST", "/test/price_ticks", {"ticks": [{"product_id": "p900001", "price": 50.0}]})
    assert shopper.request("GET", "/shop/products/p900001", headers=signed).json["price_now"] == 50.0
    assert shopper.request("GET", "/shop/products/nothing", headers=signed).status == 404


def test_a_stream_says_when_the_account_changed(shopper):
    sent = []

    async def until_two_changes():
        async def send(data):
            sent.append(data)
            if len(sent) == 1:
                shopper.store.remember("c000001", "I like blue", shopper.world)

        watching = asyncio.ensure_future(routes.changes(shopper.app._shelf, "c000001", send))
        while sum(data.startswith(b"event: changed") for data in sent) < 2:
            await asyncio.sleep(0.01)
        watching.cancel()

    asyncio.run(asyncio.wait_for(until_two_changes(), 300))


def test_a_tool_event_says_with_what_it_was_called(shopper):
    (tool,) = shopper.say("what is the price history of this?", page="p900001").all("tool")
    assert tool["arguments"] == {"product_id": "p900001", "days": 30}


# --- in a real browser


@contextmanager
def running_stack():
    from peakday.console import Console
    from peakday.stack.resolved import open_stack, resolve

    with open_stack(resolve("smoke", [], None), console=Console(False, quiet=True)) as stack:
        yield stack.endpoints["assistant"]


async def until(tab, expression, limit_s=300.0):
    for _ in range(int(limit_s / 0.1)):
        if value := await tab.evaluate(expression):
            return value
        await asyncio.sleep(0.1)
    raise AssertionError(
        f"not within {limit_s} s: {expression}; {tab.seen.errors}; {await tab.evaluate('document.body.innerText')}"
    )


async def say(tab, message, product=None):
    """Send one message as a person does, and wait for its answer."""
    if product:
        await tab.evaluate(f"open({json.dumps(product)})")
    before = await tab.evaluate("document.querySelectorAll('.turn').length")
    quoted = json.dumps(message)
    await tab.evaluate(f"(at('message').value = {quoted}, at('say-form').requestSubmit(), 1)")
    await until(tab, f"!state.busy && document.querySelectorAll('.turn').length >= {before + 2}")
    return await tab.evaluate("[...document.querySelectorAll('.turn')].at(-1).innerText")


async def press(tab, button):
    await tab.evaluate(f"(at('{button}').click(), 1)")
    await asyncio.sleep(0.1)
    await until(tab, "!state.busy")
    return await tab.evaluate("[...document.querySelectorAll('.turn')].at(-1).innerText")


async def nine_families(url, photographs):
    async with browser() as tab:
        for domain in ("Page", "Network", "Runtime", "Log"):
            await tab.call(f"{domain}.enable")
        await look(tab, DESKTOP, "light")
        await tab.call("Page.navigate", url=page_address(url))
        await until(tab, "document.readyState === 'complete' && at('status').textContent.includes('You are')")
        drill = "p900001"
        assert "650 W" in await say(tab, "what is the wattage on this drill?", drill)
        assert "Running Shoes" in await say(tab, "a few good options for shoes suitable for marathon running")
        assert "sleeping bag" in await say(tab, "planning a camping trip")
        assert await tab.evaluate("document.querySelectorAll('.sources a').length") > 0
        await say(tab, "remember that my mom gardens")
        await press(tab, "confirm")  # pages of the web were read: a write of any kind wants a confirmation now
        assert "Garden Hose" in await say(tab, "gift recommendations for my mom")
        assert "o0000802" in await say(tab, "show me my previous orders")
        assert "71.99 USD" in await say(tab, "Has this item been on sale in the past thirty days?", drill)
        assert "confirm" in (await say(tab, "Buy this when it's 30% off", drill)).lower()
        assert "Done" in await press(tab, "confirm")
        if photographs:
            await tab.evaluate("(at('hood').open = true, 1)")
            await tab.photograph(photographs / "chat-desktop.png")
        await tab.evaluate("(at('tick').value = '60', at('tick-form').requestSubmit(), 1)")
        await until(tab, "at('bought').innerText.includes('Corvane Pro Drill')")
        await say(tab, "Reorder everything we used to make pumpkin pie last week")
        assert "Pie Crust" in await press(tab, "confirm")
        await say(tab, "Order the hiking boots and poles I browsed yesterday")
        await press(tab, "confirm")
        await until(tab, "at('cart').innerText.includes('Hiking Boots')")
        assert "1. " in await say(tab, "what would go with this for a date?", "p000079")
        assert await tab.evaluate("at('tools').rows.length") >= 1
        await look(tab, PHONE, "dark")
        assert await tab.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        if photographs:
            await tab.photograph(photographs / "chat-phone-dark.png")
        return tab.seen


async def look(tab, size, scheme):
    await tab.call(
        "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=size[0] < 600
    )
    await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_nine_families_in_a_real_browser_from_words_to_purchase(tmp_path):
    """Every request goes to the assistant itself, no script fails, and it fits a phone."""
    with running_stack() as url:
        seen = asyncio.run(nine_families(url, tmp_path))
    assert {request.split("/")[2] for request in seen.requests if request.startswith("http")} == {url.split("/")[2]}
    assert seen.errors == []


AXE = """(async () => (await axe.run(document, {
  runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"] })).violations
  .map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join("; ")}`))()"""


async def key(tab, name, code, text=""):
    """One key, as a keyboard sends it."""
    for kind in ("keyDown", "keyUp"):
        more = {"text": text} if text and kind == "keyDown" else {}
        await tab.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **more)


async def by_keyboard_alone(url):
    """A conversation without a mouse: what axe finds, what has the focus on the way, how many places announce."""
    async with browser() as tab:
        for domain in ("Page", "Network", "Runtime", "Log"):
            await tab.call(f"{domain}.enable")
        await look(tab, DESKTOP, "light")
        await tab.call("Page.navigate", url=page_address(url))
        await until(tab, "document.readyState === 'complete' && at('status').textContent.includes('You are')")
        await tab.evaluate("open('p900001')")
        await tab.evaluate("(at('message').focus(), 1)")
        await tab.call("Input.insertText", text="Buy this when it's 30% off")
        await key(tab, "Enter", 13, "\r")
        await until(tab, "!state.busy && !!at('confirm').offsetParent")
        await tab.evaluate(files("axe_core_python").joinpath("axe.min.js").read_text())
        found = []
        for size, scheme in ((DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")):
            await look(tab, size, scheme)
            found += await tab.evaluate(AXE)
        await look(tab, DESKTOP, "light")
        await tab.evaluate("(at('message').focus(), 1)")
        passed = []
        for _ in range(40):
            await key(tab, "Tab", 9)
            passed.append(await tab.evaluate("document.activeElement.id || document.activeElement.tagName"))
            if passed[-1] == "confirm":
                break
        await key(tab, "Enter", 13, "\r")
        await until(tab, "!state.busy && at('rules').innerText.includes('Drill')")
        live = await tab.evaluate("document.querySelectorAll('[role=log], [aria-live]').length")
        return found, passed, live


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_the_page_is_used_by_keyboard_alone_and_axe_finds_nothing():
    """A purchase at a price is asked for, reached by Tab and confirmed by Enter; answers are announced."""
    with running_stack() as url:
        found, passed, live = asyncio.run(by_keyboard_alone(url))
    assert found == []
    assert passed[-1] == "confirm", passed
    assert live >= 1
