"""The policy pack: what must hold for mirrors and for the clusters below them, judged in any Pulumi program."""
