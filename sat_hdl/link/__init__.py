"""The link between a host and a device: frames over a byte stream, such as a serial port."""
