"""Named methods of the literature, to be used on problems of one's own."""

__all__: list[str] = []
