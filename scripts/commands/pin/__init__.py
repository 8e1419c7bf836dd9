"""The parts of scripts/pin: lists of packages, npm's lock files, the base image."""
