"""Bytes to a server and back, stamped as they pass. Nothing here blocks."""
