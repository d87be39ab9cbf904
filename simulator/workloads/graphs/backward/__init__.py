"""What the backward pass of an operator graph reads, computes and keeps."""
