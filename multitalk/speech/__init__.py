"""From sound to what the model hears of it."""
