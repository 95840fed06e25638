"""`make bench-advice`: advice on replayed traces, and what it changes there."""
