"""What the small app keeps: posts in a file, votes in memory."""
