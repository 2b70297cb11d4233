"""The host's VAE, sounds, clips and encoders, as the window loop takes them."""
