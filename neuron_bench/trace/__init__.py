"""The route `trace`: graphs of one core, a process each, timed in random turns."""
