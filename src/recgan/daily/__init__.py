"""What runs every day: recommendations for every shopper, and the watch over drift."""
