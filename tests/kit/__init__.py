"""Tools for tests: hosts, clients, buses and a stand-in for AWS."""
