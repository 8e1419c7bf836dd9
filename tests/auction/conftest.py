"""The tests in `project` belong to a copy of the project, which test_auction.py makes."""

collect_ignore = ["project"]
