"""A conversation with the assistant on a terminal: streamed answers, tools as they run, confirmations by y or n."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from assistant.ask import ask, new_session, price_tick, product_page
from assistant.errors import AssistantError
from host.control_token import page_address
from host.json_values import mapping, text
from peakday.agent.ask import admit_one, lines
from peakday.consent import Consent
from peakday.console import Console
from peakday.errors import CommandError
from peakday.stack.resolved import open_stack, resolve
from wire.text import Untrusted

HELP = """/page PRODUCT  open a product's page; /page alone closes it
/as CUSTOMER   be another test customer, in a new conversation
/tick PRICE    move the price of the product on the page
/why           what the last turn took: route, calls, tokens, cache, tools, cost
/help, /quit"""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass
class Chat:
    """One conversation. `read` gives the customer's next line (None: the end), `write` prints without a new line."""

    url: str
    read: Callable[[str], str | None]
    write: Callable[[str], None]
    customer: str = "c000001"
    locale: str = "en_US"
    addresses: Sequence[str] = ()
    product: str | None = None
    token: str = ""
    number: int = 0
    turn: int = 0
    last: list[dict[str, object]] = field(default_factory=list)

    def run(self) -> None:
        """Talk until the customer leaves."""
        self._begin(self.customer)
        self.write(f"You are {self.customer}. /help lists what else there is.\n")
        while (line := self.read("> ")) is not None:
            line = line.strip()
            if line in ("/quit", "/exit"):
                return
            try:
                if line.startswith("/"):
                    self._command(*line[1:].partition(" ")[::2])
                elif line:
                    self._say(line)
            except (AssistantError, CommandError) as error:
                self.write(f"{error}\n")

    def _begin(self, customer: str) -> None:
        self.token = new_session(self.url, customer, addresses=self.addresses)
        self.customer, self.turn = customer, 0
        self.number += 1

    def _command(self, name: str, argument: str) -> None:
        argument = argument.strip()
        if name == "page":
            self._open(argument)
        elif name == "as" and argument:
            self._begin(argument)
            self.write(f"You are {self.customer}.\n")
        elif name == "tick":
            self._tick(argument)
        elif name == "why":
            self.write("\n".join(list(lines(self.last))[1:]) + "\n" if self.last else "nothing was asked yet\n")
        else:
            self.write(f"{HELP}\n")

    def _open(self, product_id: str) -> None:
        """A product's page; one that the shop does not have is refused, and the page stays what it was."""
        title = ""
        if product_id:
            shown = product_page(self.url, self.token, product_id, addresses=self.addresses)
            title = f" {Untrusted(str(shown.get('title', ''))).terminal}"
        self.product = product_id or None
        self.write(f"page: {self.product or 'none'}{title}\n")

    def _tick(self, argument: str) -> None:
        try:
            price = float(argument)
        except ValueError:
            raise CommandError(f"/tick: {argument!r} is no price, such as 49.90") from None
        if self.product is None:
            raise CommandError("/tick: no product page is open; /page PRODUCT opens one")
        matched = price_tick(self.url, self.product, price, addresses=self.addresses)
        self.write(f"{self.product} now costs {price:.2f}; {matched} rule(s) met\n")

    def _say(self, message: str, confirm: Mapping[str, object] | None = None) -> None:
        """One turn; what it leaves to confirm is asked for at once."""
        events = ask(
            self.url,
            message,
            session_token=self.token,
            interaction_id=f"chat-{self.number}",
            turn_index=self.turn,
            locale=self.locale,
            product_id=self.product,
            confirm=confirm,
            addresses=self.addresses,
        )
        self.turn += 1
        self.last = []
        for event in events:
            self.last.append(event)
            self._show(event)
        self.write("\n")
        done = next((event for event in self.last if event["event"] == "done"), {})
        if pending := mapping(done.get("pending_confirmation")):
            accept = self._agrees(text(pending["action"]))
            word = "Yes, please do that." if accept else "No, please do not."
            self._say(word, {"token": pending["token"], "accept": accept})

    def _show(self, event: Mapping[str, object]) -> None:
        if event["event"] == "delta":
            self.write(printable(text(event["text"])))
        elif event["event"] == "tool":
            self.write(f"[{event['tool']} {printable(str(event.get('arguments')))}: {event['status']}]\n")
        elif event["event"] == "error":
            self.write(f"[{event.get('code')}: {printable(str(event.get('message')))}]")

    def _agrees(self, action: str) -> bool:
        """y or n; anything else asks again, and the end of the input is a no."""
        while True:
            answer = self.read(f"{printable(action)}\nConfirm? y/n ")
            if answer is None or answer.strip().lower() in ("n", "no"):
                return False
            if answer.strip().lower() in ("y", "yes"):
                return True


def printable(text: str) -> str:
    """Text of a model or a page without what would steer a terminal."""
    return _CONTROL.sub("", text)


def talk(
    scenario: str, sets: Sequence[str], target: str | None, chat: Callable[[str, Sequence[str]], Chat],
    *, seed: int | None, consent: Consent, console: Console,
) -> None:  # fmt: skip
    """Run a conversation on a running assistant, or on a stack that is started for it."""
    with contextlib.ExitStack() as cleanup:
        if target is not None:
            place = admit_one(target, consent, console)
            url, addresses = place.url, place.addresses
        else:
            stack = cleanup.enter_context(open_stack(resolve(scenario, sets, seed), console=console))
            url, addresses = stack.endpoints["assistant"], ()
            console.say(f"the chat page is at {page_address(url)}")
        chat(url, addresses).run()
