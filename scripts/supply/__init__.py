"""What scripts/pin and scripts/audit are made of: lists of packages, the base image, the SBOM."""
