"""A package for each command: scripts/dev runs `python -m scripts.commands.dev`, and so on."""
