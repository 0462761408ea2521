"""From tensors to what the hardware takes, and back."""
