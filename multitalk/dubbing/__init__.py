"""A clip that is given other speech."""
