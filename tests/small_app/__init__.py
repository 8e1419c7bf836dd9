"""A small app for the framework's own tests: pages, namespaces, a store and settings.

Its three folders are named like yours, so that `tests.small_app.install` can replace yours with
them in a copy of the project.
"""
