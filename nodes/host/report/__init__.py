"""What a run and a node tell: widgets, progress, events, routes."""
