"""The bad day: seeded faults over whole runs, and what must hold whatever happens (`make campaign`)."""
