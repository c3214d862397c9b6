"""From kept events to matrices: cleaning, windows in time, vocabulary, item features."""
