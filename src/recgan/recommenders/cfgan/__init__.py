"""CFGAN (Chae et al., CIKM 2018): a GAN that writes whole interaction vectors."""
