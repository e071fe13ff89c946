"""Redaction of video: probe, decode, look, track, plan, paint, encode, look again."""
