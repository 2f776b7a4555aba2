"""What-ifs: a question as address and command, a form to put it, a process that plans, the answer as data."""
