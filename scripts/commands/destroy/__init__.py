"""What scripts/destroy is made of, beside what scripts/deploy is made of."""
