"""What scripts/audit is made of: questions to the databases of advisories, and their answers."""
