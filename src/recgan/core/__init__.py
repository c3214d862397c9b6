"""What every room uses: errors, files, settings, processes; it knows none of them."""
