"""The builds that are compared: built, started, driven."""
