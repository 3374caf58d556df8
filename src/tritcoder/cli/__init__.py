"""One program, one verb a file."""
