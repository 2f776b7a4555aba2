"""Which loads a sweep of a server runs: phase, users, and exact lengths, by suite or by the caller's own axes."""

from __future__ import annotations

from dataclasses import dataclass

from neuron_bench.errors import BenchUsageError

DECODE_TOKENS = 48
"""Of a decode burst: enough steps in which all of its requests decode."""

LENGTHS = (32, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
CONTEXTS = (128, 512, 1536, 4096)
USERS = (1, 2, 4, 8, 16)
ROUNDS = {"quick": 3, "latency": 8, "throughput": 5, "full": 5}


@dataclass(frozen=True)
class Load:
    """One case. For prefill `output_tokens` is 1 and `users` 1."""

    phase: str
    users: int
    input_tokens: int
    output_tokens: int

    @property
    def label(self) -> str:
        """Short name, unique in a bench."""
        return f"{self.phase}-u{self.users}-in{self.input_tokens}-out{self.output_tokens}"

    @property
    def context_tokens(self) -> int:
        """What the server must hold for one of its requests."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class LoadAxes:
    """Prompt lengths, contexts before decoding, and users in place of a suite's own. Empty: the suite's."""

    lengths: tuple[int, ...] = ()
    contexts: tuple[int, ...] = ()
    users: tuple[int, ...] = ()


def prefill(tokens: int) -> Load:
    """A prompt of so many tokens, one token out."""
    return Load("prefill", 1, tokens, 1)


def decode(users: int, context: int, output_tokens: int = DECODE_TOKENS) -> Load:
    """So many requests decoding together after a prompt of `context` tokens."""
    return Load("decode", users, context, output_tokens)


def serve(users: int, input_tokens: int = 256, output_tokens: int = 64) -> Load:
    """Users who send their next request when an answer ends."""
    return Load("serve", users, input_tokens, output_tokens)


def suite_loads(suite: str, axes: LoadAxes = LoadAxes()) -> list[Load]:
    """The loads of a suite, with the caller's axes in place of its own.

    Raises:
        BenchUsageError: no such suite.
    """
    if suite not in ROUNDS:
        raise BenchUsageError(f"suite {suite!r}: expected one of {', '.join(ROUNDS)}")
    if suite == "quick" and axes == LoadAxes():
        return [prefill(64), prefill(512), decode(1, 256), decode(4, 256)]
    users = axes.users or ((1, 4) if suite == "quick" else USERS)
    contexts = axes.contexts or ((256,) if suite == "quick" else CONTEXTS)
    latency = [prefill(tokens) for tokens in axes.lengths or ((64, 512) if suite == "quick" else LENGTHS)]
    steps = [decode(count, context) for count in users for context in contexts]
    serving = [serve(count) for count in users]
    singles = [decode(1, context) for context in contexts]
    loads = {
        "quick": latency + steps,
        "latency": latency + singles,
        "throughput": steps + serving,
        "full": latency + steps + serving,
    }
    return list(dict.fromkeys(loads[suite]))


def held_by(loads: list[Load], context_tokens: int | None) -> tuple[list[Load], dict[str, str]]:
    """The loads that a server's context holds, and the others with the reason."""
    limit = context_tokens or float("inf")
    skipped = {
        load.label: f"{load.context_tokens} tokens, the server holds {context_tokens}"
        for load in loads
        if load.context_tokens > limit
    }
    return [load for load in loads if load.label not in skipped], skipped
