"""Runners of golden cases: each file computes the cases of one topic with the pack's own code."""
