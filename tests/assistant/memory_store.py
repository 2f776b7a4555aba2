"""A second backend of the store, in memory: it exists to show that the suite, and the agent, know no sqlite."""

import threading
from dataclasses import dataclass, field


@dataclass
class Space:
    """What outlives a handle."""

    facts: dict[str, list[str]] = field(default_factory=dict)
    carts: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: dict[str, list[dict]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


class MemoryStore:
    """`Store` over a space; handles of one space see the same."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def remember(self, customer_id, fact, now):
        facts = self._space.facts.setdefault(customer_id, [])
        if fact not in facts:
            facts.append(fact)

    def facts(self, customer_id):
        return list(self._space.facts.get(customer_id, ()))

    def forget(self, customer_id, facts):
        gone = [fact for fact in self.facts(customer_id) if fact in facts]
        self._space.facts[customer_id] = [fact for fact in self.facts(customer_id) if fact not in gone]
        return gone

    def add_to_cart(self, customer_id, product_id, quantity, key):
        with self._space.lock:
            if self._seen(key):
                return False
            cart = self._space.carts.setdefault(customer_id, {})
            cart[product_id] = cart.get(product_id, 0) + quantity
            return True

    def cart(self, customer_id):
        lines = self._space.carts.get(customer_id, {})
        return [{"product_id": product_id, "quantity": quantity} for product_id, quantity in lines.items()]

    def change_order(self, customer_id, order_id, change, detail, key, now):
        with self._space.lock:
            if self._seen(key):
                return False
            row = {"order_id": order_id, "change": change, "detail": detail, "at": now.isoformat()}
            self._space.changes.setdefault(customer_id, []).append(row)
            return True

    def order_changes(self, customer_id):
        return [dict(row) for row in self._space.changes.get(customer_id, ())]

    def close(self):
        pass

    def _seen(self, key):
        seen = key in self._space.done
        self._space.done.add(key)
        return seen
