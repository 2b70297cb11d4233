"""A run of the sampler node, from its widgets to the finished file."""
