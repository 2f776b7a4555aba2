"""Price rules: alerts and automatic purchases. The agent only writes them; a plain worker acts on them."""
