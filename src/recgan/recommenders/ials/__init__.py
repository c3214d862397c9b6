"""iALS (Hu, Koren & Volinsky 2008)."""
