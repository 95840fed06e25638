"""Answers that are kept, and what invalidates them."""
