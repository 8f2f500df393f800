"""What lets tests drive connections, whatever does their I/O: a module for each package."""
