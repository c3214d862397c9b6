"""What a shopper bought before, the frequent and the recent first."""
