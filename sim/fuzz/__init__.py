"""Random programs for the device, good ones and damaged ones."""
