"""Yours: the tests of your pages, events and model."""
