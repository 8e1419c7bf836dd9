"""What scripts/deploy and scripts/destroy are made of, and what `sam build` calls."""
