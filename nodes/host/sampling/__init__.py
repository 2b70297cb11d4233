"""How the host samples a window."""
