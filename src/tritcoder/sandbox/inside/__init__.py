"""All that runs inside the jail: standard library only, and nothing of tritcoder but this folder."""
