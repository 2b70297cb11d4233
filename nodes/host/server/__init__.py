"""What the pack does with prompts and requests before the host sees them."""
