"""Measures: problems and answers in, scores out."""
