"""Runs one untrusted program on one input in a jail and says what happened."""
