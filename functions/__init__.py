"""The stateless half: pages and redirects, as one Lambda function."""
