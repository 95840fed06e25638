"""The endpoint of the next attempt: picker, breakers, hash policy, pins, tool overrides."""
