"""Yours: your data, payloads and settings, used by both halves."""
