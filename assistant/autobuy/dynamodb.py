"""The rule book and the ledger of charges on DynamoDB: every change of state is one conditional transaction.

A rule is an item of its customer's. Beside it stand items that say where it is to be looked for, written in the same
transaction as its state: `product#ID` holds what waits for a price, `work#SHARD` what a worker is to see to,
`ends#SHARD` when a rule is too old. All reads are strongly consistent, so a rule that is written while a tick passes
is matched by one of the two. What two workers may not both pass, the customer's daily cap, is guarded by a counter
that every payment of that customer's moves on.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

import orjson

from assistant.autobuy.payments import PaymentDeclined
from assistant.autobuy.rules import (
    DAY_S,
    LEASE_S,
    WINDOW_S,
    Notice,
    Purchase,
    Rule,
    StandingRule,
    notice_body,
    standing_rule,
)
from assistant.errors import AssistantError, StoreError
from assistant.shop.table import (
    ABSENT,
    TRIES_MAX,
    Entry,
    Table,
    Write,
    customer_key,
    delete,
    key_of,
    number,
    put,
    read,
    text,
)

SHARDS = 4
"""Partitions of what workers look through; the service writes at most 1,000 items a second to one."""
_WORK = ("matched", "claimed", "paying")
_SWITCH = key_of("switches", "auto_buy")


class DynamoRules:
    """`RuleBook` over one table. Ticks and claims write rule by rule: each holds, or is made again by the next one."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def close(self) -> None:
        """Release connections."""
        self._table.close()

    # --- what the agent does

    def create(self, rule: Rule) -> Rule:
        """Write a new rule, once for its id; a price that is met already matches it at once."""
        owner = self._write(rule)
        written = self._rule(owner, rule.rule_id)
        if written.state == "active" and written.matched_s is None:  # or the try before ended between the two
            ticked = self.price(rule.product_id)
            self._match(rule.product_id, rule.price_at_creation if ticked is None else ticked, rule.created_s)
        return self._rule(owner, rule.rule_id)

    def adopt(self, rows: Iterable[StandingRule], price_of: Mapping[str, float], now: datetime) -> None:
        """Take over standing auto-buy rules of the scenario's world, each once; they count as made now."""
        for row in rows:
            self._write(standing_rule(row, price_of[row["product_id"]], now))

    def of_customer(self, customer_id: str) -> list[Rule]:
        """A customer's rules, oldest first."""
        rules = [read(item, _decoded) for item in self._table.partition(f"customer#{customer_id}", "rule#")]
        return sorted(rules, key=lambda rule: (rule.created_s, rule.rule_id))

    def _write(self, rule: Rule) -> str:
        """Write a rule unless its key was used; returns whose rule has the key."""
        owner = key_of(f"rule#{rule.rule_id}", "owner")
        unused = put({**owner, "customer_id": text(rule.customer_id)}, ABSENT)
        ends = put({**_ends_key(rule), "customer_id": text(rule.customer_id), "rule_id": text(rule.rule_id)})
        if not self._table.transact(unused, put(_encoded(rule)), ends, *_index(None, rule)):
            return rule.customer_id
        return (self._table.get(owner) or {})["customer_id"]["S"]

    # --- what prices do

    def tick(self, prices: Iterable[tuple[str, float]], now_s: float) -> int:
        """Record new prices and match rules against them; returns how many rules matched."""
        matched = 0
        for product_id, price in prices:
            self._table.put({**key_of("prices", product_id), "price": number(price), "at": text(str(now_s))})
            matched += self._match(product_id, price, now_s)
        return matched

    def _match(self, product_id: str, price: float, now_s: float) -> int:
        """Move the product's active rules whose target is met; alerts end here, with their notification."""
        return sum(self._matched(item, price, now_s) for item in self._table.partition(f"product#{product_id}"))

    def _matched(self, watch: Entry, price: float, now_s: float) -> bool:
        if float(watch["target_price"]["N"]) < price:
            return False
        rule = self._rule(watch["customer_id"]["S"], watch["sk"]["S"])
        if rule.state != "active" or rule.expires_s <= now_s:
            return False
        if rule.kind == "auto_buy":
            return self._swap(rule, replace(rule, state="matched", matched_s=now_s))
        notice = self._notice(rule, "price_alert", now_s, {"price": price})
        return self._swap(rule, replace(rule, state="notified", matched_s=now_s), notice)

    def price(self, product_id: str) -> float | None:
        """The last tick's price."""
        item = self._table.get(key_of("prices", product_id))
        return None if item is None else float(item["price"]["N"])

    def prices(self) -> dict[str, float]:
        """The last tick's price of every product that had one."""
        return {item["sk"]["S"]: float(item["price"]["N"]) for item in self._table.partition("prices")}

    # --- what workers do

    def sweep(self, now_s: float) -> int:
        """End rules that are too old, and let matches go that missed their window; returns how many moved."""
        moved = sum(self._expired(item, now_s) for shard in range(SHARDS) for item in self._ended(shard, now_s))
        late = (item for item in self._work(0) if float(item["matched_s"]["N"]) < now_s - WINDOW_S)
        return moved + sum(self._missed(item, now_s) for item in late)

    def _ended(self, shard: int, now_s: float) -> Iterator[Entry]:
        return self._table.partition(f"ends#{shard}", up_to=f"{_moment(now_s)}~")

    def _expired(self, ends: Entry, now_s: float) -> bool:
        """End a rule that waits; one in a worker's hands is looked at again, of one that has ended the mark goes."""
        rule = self._rule(ends["customer_id"]["S"], ends["rule_id"]["S"])
        if rule.state in ("claimed", "paying"):
            return False
        mark = delete(_ends_key(rule))
        if rule.state not in ("active", "matched"):
            self._table.transact(mark)
            return False
        return self._swap(rule, replace(rule, state="expired"), mark, self._notice(rule, "rule_expired", now_s, {}))

    def _missed(self, work: Entry, now_s: float) -> bool:
        rule = self._rule(work["customer_id"]["S"], work["sk"]["S"])
        if rule.state != "matched":
            return False
        waiting = replace(rule, state="active", worker=None, lease_s=None)
        return self._swap(rule, waiting, self._notice(rule, "window_missed", now_s, {}))

    def claim(self, worker: str, limit: int, now_s: float) -> list[Rule]:
        """Take rules to work on: matched ones that are due, and those whose worker's lease ran out."""
        claimed: list[Rule] = []
        for item in self._work(zlib.crc32(worker.encode())):
            if len(claimed) == limit:
                break
            if float(item["due_s"]["N"]) > now_s:
                continue
            rule = self._rule(item["customer_id"]["S"], item["sk"]["S"])
            state = "paying" if rule.state == "paying" else "claimed"
            taken = replace(rule, state=state, worker=worker, lease_s=now_s + LEASE_S)
            if rule.state in _WORK and (rule.lease_s or 0) <= now_s and self._swap(rule, taken):
                claimed.append(taken)
        return claimed

    def _work(self, first: int) -> Iterator[Entry]:
        """What workers are to see to; each worker begins at a shard of its own."""
        for step in range(SHARDS):
            yield from self._table.partition(f"work#{(first + step) % SHARDS}")

    def begin_payment(self, rule: Rule, price: float, cap_usd_per_day: float, now_s: float) -> str | None:
        """Fix the price before anything is charged; returns `paying`, `capped`, or None when the claim is lost."""
        for _ in range(TRIES_MAX):
            count = self._payments_begun(rule.customer_id)
            held = self._held(rule, "claimed")
            if held is None:
                return None
            if not self.is_enabled():
                self._leave(rule, "claimed", "matched")
                return None
            usd = self._committed_usd(rule.customer_id, now_s - DAY_S) + price * rule.quantity
            state = "paying" if usd <= cap_usd_per_day else "capped"
            notices = [self._notice(rule, "capped", now_s, {"price": price})] if state == "capped" else []
            still = [_count(rule.customer_id, count), _still_on(), *notices]
            if self._swap(held, replace(held, state=state, paying_price=price), *still):
                return state
        raise AssistantError(f"{rule.rule_id}: {TRIES_MAX} payments of this customer's came between; try again")

    def settle(self, rule: Rule, price: float, payment_reference: str, now_s: float) -> bool:
        """Record the purchase of a rule that is paying; False when it is no longer this worker's to record."""
        assert rule.matched_s is not None, "a rule that is paying was matched"
        purchase = {
            **customer_key(rule.customer_id, f"purchase#{rule.rule_id}"),
            **{name: text(getattr(rule, name)) for name in ("rule_id", "customer_id", "product_id")},
            "quantity": number(rule.quantity),
            "price": number(price),
            "price_at_creation": number(rule.price_at_creation),
            "matched_s": number(rule.matched_s),
            "bought_s": number(now_s),
            "payment_reference": text(payment_reference),
        }
        notice = self._notice(rule, "bought", now_s, {"price": price, "payment_reference": payment_reference})
        return self._leave(rule, "paying", "bought", None, put(purchase, ABSENT), notice)

    def payment_failed(self, rule: Rule, now_s: float) -> bool:
        """End a rule whose payment was declined."""
        return self._leave(rule, "paying", "payment_failed", None, self._notice(rule, "payment_failed", now_s, {}))

    def release(self, rule: Rule, state: str, not_before_s: float | None = None) -> bool:
        """Give a rule back: `matched`, to be tried again from a moment on, or `active`, to wait for another match."""
        return self._leave(rule, rule.state, state, not_before_s)

    # --- switches and views

    def set_enabled(self, enabled: bool) -> None:
        """The kill switch: while off, no rule is claimed and no payment begins; rules keep matching and wait."""
        self._table.put({**_SWITCH, "value": text("on" if enabled else "off")})

    def is_enabled(self) -> bool:
        """Whether workers may buy."""
        item = self._table.get(_SWITCH)
        return item is None or item["value"]["S"] == "on"

    def purchases(self, customer_id: str | None = None) -> list[Purchase]:
        """Purchases, newest first: a customer's, or all (which reads the whole table)."""
        prefix = "purchase#"
        items = (
            self._table.everywhere(prefix)
            if customer_id is None
            else self._table.partition(f"customer#{customer_id}", prefix)
        )
        return sorted((read(item, _purchase) for item in items), key=lambda one: (-one.bought_s, one.rule_id))

    def outbox(self, customer_id: str) -> list[Notice]:
        """A customer's notifications, oldest first."""
        return [
            read(item, lambda it: Notice(it["kind"]["S"], orjson.loads(it["body"]["S"]), float(it["at_s"]["N"])))
            for item in self._table.of_customer(customer_id, "notice#")
        ]

    def states(self) -> dict[str, int]:
        """How many rules are in each state; reads the whole table."""
        states = [item["state"]["S"] for item in self._table.everywhere("rule#")]
        return {state: states.count(state) for state in sorted(set(states))}

    # --- one rule

    def _rule(self, customer_id: str, rule_id: str) -> Rule:
        item = self._table.get(customer_key(customer_id, f"rule#{rule_id}"))
        if item is None:  # what points at a rule is written with it
            raise StoreError(f"rule {rule_id} is gone, and what points at it is not: somebody else writes here")
        return read(item, _decoded)

    def _held(self, rule: Rule, state: str) -> Rule | None:
        """The rule as it stands, if it is in this state and still in this worker's hands."""
        stands = self._rule(rule.customer_id, rule.rule_id)
        mine = (stands.worker, stands.lease_s) == (rule.worker, rule.lease_s)
        return stands if mine and stands.state == state else None

    def _leave(self, rule: Rule, before: str, after: str, lease_s: float | None = None, *more: Write) -> bool:
        """Move a rule on, if it still is in this worker's hands."""
        held = self._held(rule, before)
        if held is None:
            return False
        if before == "paying":
            more = (*more, _count(rule.customer_id, None))
        return self._swap(held, replace(held, state=after, worker=None, lease_s=lease_s), *more)

    def _swap(self, before: Rule, after: Rule, *more: Write) -> bool:
        """One rule for another, with its index and these writes, if it stands as `before`; False otherwise."""
        return not self._table.transact(_stands_as(before, after), *_index(before, after), *more)

    def _notice(self, rule: Rule, kind: str, now_s: float, more: Mapping[str, float | str]) -> Write:
        place = self._table.place(rule.customer_id)
        body = orjson.dumps(notice_body(rule, more)).decode()
        key = customer_key(rule.customer_id, f"notice#{int(place['N']):012d}")
        return put({**key, "kind": text(kind), "body": text(body), "at_s": number(now_s), "number": place})

    def _committed_usd(self, customer_id: str, since_s: float) -> float:
        rules = [rule for rule in self.of_customer(customer_id) if rule.state == "paying"]
        bought = [one for one in self.purchases(customer_id) if one.bought_s >= since_s]
        return sum((rule.paying_price or 0) * rule.quantity for rule in rules) + sum(
            one.price * one.quantity for one in bought
        )

    def _payments_begun(self, customer_id: str) -> int:
        item = self._table.get(customer_key(customer_id, "payments"))
        return 0 if item is None else int(item["count"]["N"])


class DynamoPayments:
    """`Payments` over one table.

    Args:
        method_of: default payment method of a customer, or None; a method that starts with `declined` is refused.
    """

    def __init__(self, table: Table, method_of: Callable[[str], str | None]) -> None:
        self._table, self._method_of = table, method_of

    def charge(self, key: str, customer_id: str, amount_usd: float) -> str:
        """See `Payments`."""
        method = self._method_of(customer_id)
        if not method or method.startswith("declined"):
            raise PaymentDeclined(f"{customer_id}: no default payment method that can be charged")
        place = key_of(f"charge#{key}", "charge")
        more = {"customer_id": text(customer_id), "amount_usd": number(amount_usd), "state": text("charged")}
        if not self._table.put_new({**place, **more}):
            item = self._table.get(place)
            if item is not None and item["state"]["S"] == "void":
                raise PaymentDeclined(f"{key}: voided")
        return f"charge:{key}"

    def void(self, key: str) -> None:
        """See `Payments`."""
        self._table.put({**key_of(f"charge#{key}", "charge"), "state": text("void")})

    def charges(self) -> list[tuple[str, str, float]]:
        """See `Payments`; reads the whole table."""
        rows = (item for item in self._table.everywhere("charge") if item["state"]["S"] == "charged")
        return sorted(
            (item["pk"]["S"].removeprefix("charge#"), item["customer_id"]["S"], float(item["amount_usd"]["N"]))
            for item in rows
        )

    def close(self) -> None:
        """Release connections."""
        self._table.close()


# --- writes


def _stands_as(before: Rule, after: Rule) -> Write:
    """Writes a rule, on the condition that it is in the state, the hands and the match that it was read in."""
    names = {"#s": "state", "#w": "worker", "#l": "lease_s", "#m": "matched_s"}
    values = {"#s": text(before.state), "#w": before.worker and text(before.worker)}
    values |= {"#l": _maybe(before.lease_s), "#m": _maybe(before.matched_s)}
    conditions = [
        f"attribute_not_exists({name})" if value is None else f"{name} = :{name[1:]}" for name, value in values.items()
    ]
    return {
        "Put": {
            "Item": _encoded(after),
            "ConditionExpression": " AND ".join(conditions),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {f":{name[1:]}": value for name, value in values.items() if value is not None},
        }
    }


def _index(before: Rule | None, after: Rule) -> list[Write]:
    """What says where a rule is to be looked for, as it changes with the rule's state."""
    watch = key_of(f"product#{after.product_id}", after.rule_id)
    work = key_of(f"work#{_shard(after.rule_id)}", after.rule_id)
    owner = {"customer_id": text(after.customer_id)}
    writes: list[Write] = []
    if after.state == "active":
        writes.append(put({**watch, **owner, "target_price": number(after.target_price)}))
    elif before is not None and before.state == "active":
        writes.append(delete(watch))
    if after.state in _WORK:
        due = {"due_s": number(after.lease_s or 0), "matched_s": number(after.matched_s or 0)}
        writes.append(put({**work, **owner, **due}))
    elif before is not None and before.state in _WORK:
        writes.append(delete(work))
    return writes


def _count(customer_id: str, stands_at: int | None) -> Write:
    """Moves on the counter of a customer's payments; given a count, on the condition that it stands there."""
    values = {":one": number(1)}
    condition: dict[str, str] = {}
    if stands_at is not None:
        condition = {"ConditionExpression": "#c = :c" if stands_at else "attribute_not_exists(#c)"}
        values |= {":c": number(stands_at)} if stands_at else {}
    return {
        "Update": {
            "Key": customer_key(customer_id, "payments"),
            "UpdateExpression": "ADD #c :one",
            "ExpressionAttributeNames": {"#c": "count"},
            "ExpressionAttributeValues": values,
            **condition,
        }
    }


def _still_on() -> Write:
    return {
        "ConditionCheck": {
            "Key": _SWITCH,
            "ConditionExpression": "attribute_not_exists(#v) OR #v = :on",
            "ExpressionAttributeNames": {"#v": "value"},
            "ExpressionAttributeValues": {":on": text("on")},
        }
    }


# --- items

_TEXTS = ("rule_id", "kind", "customer_id", "product_id", "state")
_NUMBERS = ("target_price", "quantity", "price_at_creation", "created_s", "expires_s")


def _encoded(rule: Rule) -> Entry:
    item = customer_key(rule.customer_id, f"rule#{rule.rule_id}")
    item |= {name: text(getattr(rule, name)) for name in _TEXTS}
    item |= {name: number(getattr(rule, name)) for name in _NUMBERS}
    item |= {"worker": text(rule.worker)} if rule.worker is not None else {}
    maybe = {name: _maybe(getattr(rule, name)) for name in ("matched_s", "paying_price", "lease_s")}
    return item | {name: value for name, value in maybe.items() if value is not None}


def _decoded(item: Entry) -> Rule:
    rule_id, kind, customer_id, product_id, state = (item[name]["S"] for name in _TEXTS)
    target, quantity, price, created_s, expires_s = (float(item[name]["N"]) for name in _NUMBERS)
    matched_s, paying_price, lease_s = (
        float(item[name]["N"]) if name in item else None for name in ("matched_s", "paying_price", "lease_s")
    )
    worker = item["worker"]["S"] if "worker" in item else None
    return Rule(
        rule_id, kind, customer_id, product_id, target, int(quantity), price, created_s, expires_s, state, matched_s,
        paying_price, worker, lease_s,
    )  # fmt: skip


def _purchase(item: Entry) -> Purchase:
    texts = ("rule_id", "customer_id", "product_id")
    rule_id, customer_id, product_id = (item[name]["S"] for name in texts)
    numbers = ("quantity", "price", "price_at_creation", "matched_s", "bought_s")
    quantity, price, created, matched_s, bought_s = (float(item[name]["N"]) for name in numbers)
    reference = item["payment_reference"]["S"]
    return Purchase(rule_id, customer_id, product_id, int(quantity), price, created, matched_s, bought_s, reference)


def _maybe(value: float | None) -> dict[str, str] | None:
    return None if value is None else number(value)


def _ends_key(rule: Rule) -> Entry:
    return key_of(f"ends#{_shard(rule.rule_id)}", f"{_moment(rule.expires_s)}#{rule.rule_id}")


def _moment(moment_s: float) -> str:
    """A moment whose order as text is its order in time."""
    return f"{moment_s:020.6f}"


def _shard(rule_id: str) -> int:
    return zlib.crc32(rule_id.encode()) % SHARDS
