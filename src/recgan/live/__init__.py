"""A simulated shop that answers: shoppers meet what the real server shows, night follows day."""
