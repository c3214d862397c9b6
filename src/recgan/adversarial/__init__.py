"""The adversarial core: losses, networks and the Lightning module; knows nothing of what is played for."""
