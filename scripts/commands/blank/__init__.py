"""What scripts/blank is made of; `app` holds the files that it leaves."""
