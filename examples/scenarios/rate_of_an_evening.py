"""How many conversations does the busiest hour hold, and how sure is that? Draws of whole demand paths."""

from pathlib import Path

import numpy as np

from scenarios.demand import curve
from scenarios.loading import load_scenario, resolved
from scenarios.paths import draw_paths, running_max

scenario = resolved(load_scenario(Path(__file__).with_name("our_sale.yaml")))

expected = curve(scenario)
print(f"expected over the event: {expected.total:,.0f} interactions")

paths = draw_paths(scenario, draws=2_000, seed=1)
total = paths.rate_per_s.sum(axis=1)
an_hour = total.reshape(len(total), -1, 60).mean(axis=2).max(axis=1) * 3_600
for share in (0.5, 0.9, 0.95):
    print(f"busiest clock hour, {share:.0%} of draws below: {np.quantile(an_hour, share):,.0f} interactions")

# Capacity that needs a quarter of an hour to warm up must already be there for the coming quarter's largest rate.
ahead = running_max(total, steps=15)
print(f"peak: {np.quantile(total.max(axis=1), 0.9):.1f}/s in 90% of draws")
print(f"mean rate to hold for, 15 minutes ahead: {ahead.mean():.2f}/s, against {total.mean():.2f}/s of demand")
