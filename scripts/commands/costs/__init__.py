"""What a deployment costs: one table of prices, and the sums of docs/costs.md and README.md."""
