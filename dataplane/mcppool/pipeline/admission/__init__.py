"""Admission of calls: rates, concurrency limits, pace of notifications."""
