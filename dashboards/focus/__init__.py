"""A plan or a run as rows of FOCUS 1.2, and a bill of that form beside a plan."""
