"""Packed inference: ids in, logits or ids out; no torch."""
