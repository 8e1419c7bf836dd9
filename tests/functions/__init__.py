"""Tests of the function's half."""
