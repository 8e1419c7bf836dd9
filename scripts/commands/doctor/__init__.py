"""The parts of scripts/doctor, which examines a running site from outside.

Nothing in here knows how the site was started. It sends requests as a browser or a plain client.
"""
