"""Accounts that look fake: found from the kept events alone, listed with reasons, the surest left out."""
