"""What every room needs: values, errors, fingerprints, names and files."""
