"""What scripts/pin is made of: lists of packages, npm's locks, the base image."""
