"""The verbs, a module for each family. Functions here parse and call; the work is elsewhere."""
