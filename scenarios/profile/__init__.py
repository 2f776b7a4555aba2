"""What a trace shows of its customers, as figures; how well they foretell its last part; and a scenario of them."""
