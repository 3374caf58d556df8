"""Recorded runs become one self-contained HTML page."""
