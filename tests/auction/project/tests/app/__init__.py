"""The auction's tests."""
