"""What is bought: fleets, quota asks and a budget at one joint service level, and how a fleet is held by the hour."""
