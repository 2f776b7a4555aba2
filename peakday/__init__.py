"""The command: parse, wire, start, stop."""
