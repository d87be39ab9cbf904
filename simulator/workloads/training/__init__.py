"""What there is to do in a training step: the operators of both passes, what is kept between them, and the states."""
