"""The parts of scripts/blank; `app` holds the files that replace the sample."""
