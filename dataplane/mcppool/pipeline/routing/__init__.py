"""Which endpoint gets the next attempt: picker, breakers, hash policy, pins, tool overrides."""
