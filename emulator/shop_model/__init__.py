"""A deterministic model that knows the shop's trade: it answers what no conversation file knows."""
