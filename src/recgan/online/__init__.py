"""What happens after a promotion: what shoppers did with what they were shown, and what follows from it."""
