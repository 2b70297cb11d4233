"""Films, pictures and sounds, read and written."""
