"""What both halves must agree on, and the only code both import: session, room log, bus."""
