"""Traffic mirroring between clusters as Pulumi components."""
