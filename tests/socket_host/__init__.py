"""Tests of the socket host."""
