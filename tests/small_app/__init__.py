"""A small app for the framework's own tests: a page, two namespaces, a store and a setting."""
