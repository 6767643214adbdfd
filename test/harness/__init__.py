"""What the suites stand on: a private PostgreSQL, the real binary, raw sockets."""
