"""Report of a co-design: what the device must be like, and the cheapest one that is good enough, as one interactive page."""
