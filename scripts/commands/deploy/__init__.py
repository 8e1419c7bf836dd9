"""What scripts/deploy is made of, and what `sam build` calls."""
