"""What both halves know of the auction."""
