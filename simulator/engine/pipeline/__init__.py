"""Items through a network of stages on devices and links."""
