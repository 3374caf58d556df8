"""The rivals that keep us honest."""
