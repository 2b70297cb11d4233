"""Which windows a film has, and the loop that makes them."""
