"""A GPU is an option of self-hosting like a Neuron chip: its own step model, offers priced from facts."""

from dataclasses import replace

import pytest

from capacity.fleet.self_hosted import usable_models
from capacity.fleet.sizing import priced_offers
from facts import reader
from scenarios.schema import SelfHostedSupply
from tests.capacity.models import llama_8b


@pytest.mark.parametrize(("chip", "cheapest"), [("h100-80gb sxm", "p5.4xlarge"), ("b200 sxm", "p6-b200.48xlarge")])
def test_a_gpu_has_offers_with_a_public_price(chip, cheapest):
    offers = priced_offers(chip, 1.0, reader.instances(), {})
    assert min(offers, key=lambda offer: offer.usd_per_hour).instance.instance == cheapest
    assert all(offer.usd_per_hour > 0 for offer in offers)


def test_a_step_model_of_a_gpu_is_taken_beside_one_of_a_neuron_chip():
    """One a chip, in the order of `own.chips`: a plan then rejects all but the cheapest, with the reason."""
    own = SelfHostedSupply(chips=["trainium2", "h100-80gb sxm"], ttft_s_p99=1.0, tpot_s_p99=0.1)
    offered = [replace(llama_8b(), chip=chip) for chip in ("h100-80gb sxm", "trainium2")]
    taken = usable_models(own, "custom-8b", reader.models()["custom-8b"], offered)
    assert [step.chip for step in taken] == ["trainium2", "h100-80gb sxm"]
