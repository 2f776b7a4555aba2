"""The local stack: a scenario resolved with its world, and the processes that serve it."""
