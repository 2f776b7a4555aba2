"""The chain of a number leads from the scenario to the number itself, by arithmetic that a stranger can repeat."""

from __future__ import annotations

import html
import re

import pytest

from capacity.plan import write_plan
from dashboards.html.plan.why import why_links
from dashboards.numbers.why import LINKS_MAX, WhyError, chain, explained_numbers, why
from dashboards.report import write_report
from peakday.records.reports import explain_number
from tests.dashboards.plans import make_plan

PLAN = make_plan(simulated=False)
CHAINS = {number.key: chain(PLAN, number) for number in explained_numbers(PLAN)}


def links_of(words):
    return {link.name: link for link in why(PLAN, words).links}


@pytest.mark.parametrize("key", CHAINS)
def test_a_chain_ends_at_the_number_in_at_most_ten_links(key):
    """Fleets, dollars and hit rates end at their own value; a quota's need stands before what to ask for."""
    found = CHAINS[key]
    assert 2 <= len(found.links) <= LINKS_MAX
    values = [link.value for link in found.links]
    assert any(value == pytest.approx(found.number.value, rel=1e-9) for value in values[-3:])


@pytest.mark.parametrize("key", CHAINS)
def test_every_link_says_its_file_and_its_provenance(key):
    for link in CHAINS[key].links:
        assert link.source, link
        assert link.provenance, link


def test_chips_are_recomputed_from_the_links_alone():
    """Interactions, calls, rate, zones: by hand, as the formulas say."""
    found = [link.value for link in why(PLAN, "chips custom-8b us-east-1").links]
    peak, calls, at_peak, load, rate, per_zone, instances, chips = found
    rules = PLAN.rules
    working = (rules.zones - rules.zones_lost) * (1 - rules.drain_ratio - rules.broken_ratio)
    assert at_peak == pytest.approx(peak * calls)
    assert per_zone == -(-at_peak * load * (1 + rules.retry_extra_attempts) // (rate * working))
    assert chips == instances * rules.zones * (chips / instances / rules.zones)
    supply = next(s for s in PLAN.supplies if (s.model, s.region) == ("custom-8b", "us-east-1"))
    assert chips == supply.chosen.bought_chips


def test_the_cost_of_an_interaction_is_the_sum_of_its_links():
    *parts, whole = why(PLAN, "cost_usd_per_interaction").links
    assert sum(part.value for part in parts) == pytest.approx(whole.value, rel=1e-9)


def test_a_quota_ask_names_the_call_it_comes_from_and_the_grant():
    links = links_of("quota_needed_settlement nova-pro us-east-1 tpm")
    need = next(q for s in PLAN.supplies if (s.model, s.region) == ("nova-pro", "us-east-1") for q in s.quotas
                if q.kind == "tpm")  # fmt: skip
    assert links["tpm to ask for"].value == need.ask
    assert links["tpm granted"].value == need.granted


@pytest.mark.parametrize(("words", "message"), [("chips", "several numbers"), ("no such thing", "no such number")])
def test_an_unclear_number_is_refused_with_the_names_to_choose_from(words, message):
    with pytest.raises(WhyError, match=message):
        why(PLAN, words)


def test_every_linked_number_of_a_page_leads_to_its_chain(out):
    page = html.unescape(write_report(out, plan=PLAN).read_text())
    anchors = set(re.findall(r'<article class="panel" id="(why-\d+)"', page))
    targets = set(re.findall(r'href="#(why-\d+)"', page))
    assert targets
    assert targets <= anchors == set(why_links(PLAN).values())


def test_the_verb_prints_the_same_chain(tmp_path):
    text, data = explain_number(str(write_plan(PLAN, tmp_path).parent), "event_cost_usd")
    assert [link["name"] for link in data["links"]] == [link.name for link in why(PLAN, "event_cost_usd").links]
    assert text.splitlines()[-1].endswith("plan.json")
