"""The parts of scripts/destroy, which also uses those of scripts/deploy."""
