"""The HTTP service: other programs, and soon the studio in the browser, hand in photos and get them back protected."""
