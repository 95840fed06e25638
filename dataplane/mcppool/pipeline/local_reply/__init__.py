"""Local replies: faults, refusals, `server/discover`."""
