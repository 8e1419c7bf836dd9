"""What scripts/doctor does: looks at a running site from outside, and says what is wrong and why.

Nothing in here knows how the site was started. It sends what a browser or a plain client would.
"""
