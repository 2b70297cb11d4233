"""Runs the golden cases of sound and speech."""

from parity_case import Runner

RUNNERS: dict[str, Runner] = {}
