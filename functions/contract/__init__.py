"""What both halves must agree on: the session, the bus, and how settings are read."""
