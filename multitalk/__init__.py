"""Everything about speech: audio features, the audio branch, window planning and the window loop."""
