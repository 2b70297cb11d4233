"""The audio branch, and how predictions are combined."""
