"""How far a picture may be averaged, by its decoder or by Pillow, before the resize filter."""

#: Below this ratio, blocks are visible: a thumbnail from a picture 2.6 times its size had a similarity of 0.976 with
#: reducing, and 0.996 without.
_MIN_FILTER_RATIO = 1.4


def filter_ratio(coarseness: float) -> float:
    """Return the ratio to leave for the filter after averaging `coarseness` pixels per side.

    Averaging blurs and causes aliasing: the coarser it is, the more must be left to the filter. With these ratios, text
    and line art have a similarity of 0.98 to Lanczos on all pixels, from a hundred pixels on; photographs 0.99.
    """
    return min(2.5, 1 + coarseness / 11)


def averaged(ratio: float, coarseness: float = 1) -> int:
    """Return how many pixels per side to average in a picture that will be `ratio` times smaller."""

    def leaves_enough(factor: int) -> bool:
        # Averaging two or three pixels looks worse than libjpeg's scaling by the same factor.
        return ratio / factor >= max(_MIN_FILTER_RATIO, filter_ratio(coarseness * factor))

    return next(filter(leaves_enough, range(int(ratio), 1, -1)), 1)


def reducing_gap(ratio: float, coarseness: float) -> float:
    """Return Pillow's `reducing_gap`: it averages the picture as far as `averaged` permits, and resamples the rest.

    `ratio` is that of the side that shrinks less; on the other side, the same part is left to the filter.
    """
    # A little more than the number of pixels, so that a rounding error does not make Pillow average one less.
    return max(1.0, ratio / (averaged(ratio, coarseness) + 0.1))
