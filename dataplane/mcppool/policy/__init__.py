"""Decisions: pure functions that take the time as an argument; no clock, no I/O, no asyncio."""
