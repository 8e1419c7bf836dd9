"""The parts of scripts/deploy, and the program that `sam build` calls."""
