"""stablegrad: numerically stable gradients."""
