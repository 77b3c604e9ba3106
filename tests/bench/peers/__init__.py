"""Whole relays under one load, in one run: `python -m tests.bench` (see `tests.bench.peers.run`)."""
