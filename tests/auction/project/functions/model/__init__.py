"""The auction's data, payloads and settings."""
