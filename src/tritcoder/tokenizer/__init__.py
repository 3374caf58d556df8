"""Bytes to token ids and back, special tokens, and how a problem becomes text."""
