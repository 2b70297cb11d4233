"""What all other folders of multitalk need: values, errors, fingerprints, names and files."""
