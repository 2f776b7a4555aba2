"""How many conversations does the busiest hour hold, and how sure is that? Draws of whole demand paths."""

from pathlib import Path

import numpy as np

from scenarios.demand import curve
from scenarios.loading import json_values, load_scenario
from scenarios.paths import draw_paths

scenario = json_values(load_scenario(Path(__file__).with_name("our_sale.yaml")))

expected = curve(scenario)
print(f"expected over the event: {expected.total:,.0f} interactions")

paths = draw_paths(scenario, draws=2_000, seed=1)
total = paths.rate_per_s.sum(axis=1)
an_hour = total.reshape(len(total), -1, 60).mean(axis=2).max(axis=1) * 3_600
for share in (0.5, 0.9, 0.95):
    print(f"busiest clock hour, {share:.0%} of draws below: {np.quantile(an_hour, share):,.0f} interactions")

# Capacity that needs a quarter of an hour to warm up must already be there for the coming quarter's largest rate.
windows = np.lib.stride_tricks.sliding_window_view(np.pad(total, ((0, 0), (0, 14)), mode="edge"), 15, axis=1)
ahead = windows.max(axis=2)
print(f"peak: {np.quantile(total.max(axis=1), 0.9):.1f}/s in 90% of draws")
print(f"mean rate to hold for, 15 minutes ahead: {ahead.mean():.2f}/s, against {total.mean():.2f}/s of demand")
