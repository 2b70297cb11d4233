"""Attention backends behind one signature, the choice among them and their fallbacks."""
