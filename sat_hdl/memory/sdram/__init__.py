"""Single data rate SDRAM: a controller with an AXI4 port."""
