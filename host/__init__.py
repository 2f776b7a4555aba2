"""What does this machine do for us? Files written whole, child processes, ports, and what it says of itself."""
