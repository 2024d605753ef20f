"""A chain on one machine, for tests and the demo: Foundry's anvil, never part of a platform."""
