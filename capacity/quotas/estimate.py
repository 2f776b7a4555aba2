"""A workload counted by hand: sessions of equal questions with tool rounds, all of its tokens, cost and quota exact.

No queue and no draw: what estimates on paper do, with both readings of a quota beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from facts.blocks import NotNegative
from scenarios.base import Part

TOKENS_PER_PRICE = 1e6


class Prompt(Part):
    """Tokens of a question's first call, in the order in which they stand in the prompt."""

    system_tokens: NotNegative
    tools_tokens: NotNegative = 0
    user_tokens: NotNegative = 0
    context_tokens: NotNegative = 0


class ToolRounds(Part):
    """Rounds one after the other, each one more call that resends everything before it."""

    rounds: int = Field(default=0, ge=0)
    call_tokens: NotNegative = 0
    result_tokens: NotNegative = 0


class TokenRates(Part):
    """USD per million tokens."""

    input: NotNegative
    output: NotNegative
    cache_read: NotNegative
    cache_write: NotNegative


class Workload(Part):
    """The file. The prefix of system and tools stays cached between questions of a session, the rest within one."""

    schema_: Literal["peakday.estimate/1"] = Field(alias="schema")
    name: str
    prompt: Prompt
    tools: ToolRounds = ToolRounds()
    answer_tokens: NotNegative  # of a question, over all its calls
    sessions: float = Field(gt=0)
    questions_per_session: float = Field(ge=1)
    active_minutes: float = Field(gt=0)
    peak_factor: float = Field(default=1.0, ge=1)
    max_tokens: float | None = Field(default=None, gt=0)
    output_burndown_ratio: float = Field(default=1.0, gt=0)
    usd_per_mtok: TokenRates


@dataclass(frozen=True)
class Estimate:
    """Tokens and dollars of the whole period; requests and tokens of the peak minute.

    tpm_uncached: every input token counted, as estimates on paper do; tpm_reserved: that and max_tokens in place of the
    answer's; tpm_settled: what is charged at the end, cache reads left out.
    """

    cache_write_tokens: float
    cache_read_tokens: float
    input_tokens: float
    output_tokens: float
    usd: float
    usd_without_cache: float
    rpm: float
    tpm_uncached: float
    tpm_reserved: float | None
    tpm_settled: float

    @property
    def saved_ratio(self) -> float:
        """Of the cost without a cache."""
        return 1 - self.usd / self.usd_without_cache if self.usd_without_cache else 0.0


def estimate(work: Workload) -> Estimate:
    """Every token of every call, once.

    A question's calls each write what the one before them did not have; the last call's new tokens are not written, as
    nothing reads them again: without tools only the prefix is.
    """
    prefix = work.prompt.system_tokens + work.prompt.tools_tokens
    first = prefix + work.prompt.user_tokens + work.prompt.context_tokens
    added, rounds = work.tools.call_tokens + work.tools.result_tokens, work.tools.rounds
    calls = rounds + 1
    prompts = [first + added * done for done in range(calls)]
    plain = added if rounds else first - prefix
    read = sum(prompts[:-1])
    write = first + added * (rounds - 1) if rounds else prefix
    questions = work.sessions * work.questions_per_session
    later = questions - work.sessions
    written, reads = questions * write - later * prefix, questions * read + later * prefix
    fresh, output = questions * plain, questions * work.answer_tokens
    prices = work.usd_per_mtok
    usd = written * prices.cache_write + reads * prices.cache_read + fresh * prices.input + output * prices.output
    bare = questions * sum(prompts) * prices.input + output * prices.output
    rpm = questions * calls / work.active_minutes * work.peak_factor
    prompt, answer = sum(prompts) / calls, work.answer_tokens / calls
    settled = (written + fresh) / (questions * calls) + answer * work.output_burndown_ratio
    uncached = prompt + answer * work.output_burndown_ratio
    return Estimate(
        cache_write_tokens=written,
        cache_read_tokens=reads,
        input_tokens=fresh,
        output_tokens=output,
        usd=usd / TOKENS_PER_PRICE,
        usd_without_cache=bare / TOKENS_PER_PRICE,
        rpm=rpm,
        tpm_uncached=rpm * uncached,
        tpm_reserved=None if work.max_tokens is None else rpm * (uncached + work.max_tokens - answer),
        tpm_settled=rpm * settled,
    )
