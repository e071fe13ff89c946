"""Whole folders of photos and clips: several workers, a ledger, begun again where it stopped."""
