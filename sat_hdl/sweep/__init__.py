"""Many configurations × networks: what each would cost, and gain."""
