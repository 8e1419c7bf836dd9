"""What `scripts/dev` and its siblings are made of; nothing here is deployed."""
