"""A small app for the framework's own tests: pages, namespaces, a store and settings.

Its three folders have the names of yours, so that `tests.small_app.install` can put them in their
place in a copy of the project.
"""
