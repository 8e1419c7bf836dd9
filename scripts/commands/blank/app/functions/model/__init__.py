"""Yours: your data, the rules for what is sent, and your settings. Both halves carry it."""
