"""Unmodified clients against the emulator: `make clients`, in environments of their own."""
