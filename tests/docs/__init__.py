"""Runs the code in the documentation, and compares its statements with the code."""
