"""What federated clients do to their updates before they send them."""

from simulator.policies.upload.uploads import Dense, FedZip, Upload, golomb_bits

__all__ = ["Dense", "FedZip", "Upload", "golomb_bits"]
