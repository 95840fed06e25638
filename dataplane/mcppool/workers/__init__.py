"""Several processes that serve as one gateway (`listener.workers`): their supervisor, and what they share."""
