"""Tools over what the customer asked us to remember."""

from __future__ import annotations

from assistant.tools.spec import (
    ALWAYS,
    UNLESS_ASKED,
    Arguments,
    NothingFound,
    Result,
    Tool,
    ToolContext,
    ToolError,
    one_line,
    text,
)

FACTS_MAX = 50
"""Facts kept for one customer: all of them stand in every prompt, so they are bounded."""
_ASKED_BY = frozenset({"account_memory"})


def _remember(context: ToolContext, args: Arguments) -> Result:
    fact = " ".join(args["fact"].split())
    facts = context.store.facts(context.customer_id)
    if len(facts) >= FACTS_MAX and fact not in facts:
        raise ToolError(f"{FACTS_MAX} facts are kept already; forget one first")
    context.store.remember(context.customer_id, fact, context.now)
    return {"remembered": fact}


def _recall(context: ToolContext, args: Arguments) -> Result:
    wanted = args.get("query", "").lower().split()
    facts = context.store.facts(context.customer_id)
    found = [fact for fact in facts if all(word in fact.lower() for word in wanted)]
    return {"facts": found, "kept": len(facts)}


def _forget(context: ToolContext, args: Arguments) -> Result:
    return {"forgotten": context.store.forget(context.customer_id, args["facts"])}


def _preview_remember(context: ToolContext, args: Arguments) -> tuple[Arguments, str]:
    return args, f"Remember: {one_line(args['fact'])}"


def _preview_forget(context: ToolContext, args: Arguments) -> tuple[Arguments, str]:
    """Exactly the facts that go, and no other, whatever is remembered until the customer confirms."""
    wanted = args["fact"].lower().split()
    facts = [fact for fact in context.store.facts(context.customer_id) if all(word in fact.lower() for word in wanted)]
    if not wanted or not facts:
        raise NothingFound("no remembered fact holds all of these words")
    return {"facts": facts}, "Forget for good: " + "; ".join(one_line(fact) for fact in facts)


TOOLS = (
    Tool(
        "remember",
        "Keep one fact that the customer asks you to remember, such as a pet, a size or an allergy, for later visits.",
        {"fact": text("The fact, as a short sentence", 300)},
        _remember,
        required=("fact",),
        confirm=UNLESS_ASKED,
        asked_by=_ASKED_BY,
        own_words_ratio=1.0,
        preview=_preview_remember,
    ),
    Tool(
        "recall",
        "List what is remembered about the customer; words narrow the list.",
        {"query": text("Words to look for")},
        _recall,
    ),
    Tool(
        "forget",
        "Erase remembered facts that hold these words, for good, once the customer has confirmed which.",
        {"fact": text("Words of the fact to erase", 300)},
        _forget,
        required=("fact",),
        confirm=ALWAYS,
        preview=_preview_forget,
    ),
)
