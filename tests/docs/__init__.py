"""What the documentation says is run, and held against the code."""
