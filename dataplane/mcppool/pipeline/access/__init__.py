"""Access rules at work: requests are refused, lists are shortened."""
