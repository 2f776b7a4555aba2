"""During the event: what happens, minute by minute, against what the plan expects, and what comes next."""
