"""Answers that are ours: faults, refusals, `server/discover`."""
