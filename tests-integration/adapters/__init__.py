"""One suite for all ways of doing I/O."""
