"""The small app's stores: posts in a file, votes in memory."""
