"""Read, clean, account for, and turn into tokens: one file for each source."""
