"""Workflows of WanVideoWrapper made into workflows of EverTalk and ComfyUI's own nodes; knows no ComfyUI."""
