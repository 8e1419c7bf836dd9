"""What scripts/upgrade is made of."""
