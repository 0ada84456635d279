"""Bar charts as SVG: a bar is the median of a series, its line reaches from the minimum to the maximum."""

from html import escape

from benchmarks.speed.ratios import Topic, shown

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 760, 270, 90, 26, 44
_OURS, _OTHERS, _LINE, _TEXT = "#2a6f97", "#b8bfc6", "#1b1f23", "#24292f"


def bars(topic: Topic) -> str:
    """Draw the chart of one topic."""
    maximum = max(max(values) for values in topic.series.values()) or 1
    height = _TOP + _ROW * len(topic.series) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="15" font-weight="600" fill="{_TEXT}">{escape(topic.title)}'
        f'<tspan font-size="12" font-weight="400" dx="8">{escape(topic.unit)}</tspan></text>',
    ]
    for number, name in enumerate(topic.series):
        lines += _bar(topic, name, _TOP + _ROW * number, (_WIDTH - _LEFT - _RIGHT) / maximum)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(topic: Topic, name: str, top: int, scale: float) -> list[str]:
    values, median = topic.series[name], topic.median(name)
    colour = _OURS if name.startswith(("this server", "image_variants")) else _OTHERS
    low, high, middle = _LEFT + min(values) * scale, _LEFT + max(values) * scale, top + 9
    return [
        f'<text x="{_LEFT - 10}" y="{top + 14}" text-anchor="end" fill="{_TEXT}">{escape(name)}</text>',
        f'<rect x="{_LEFT}" y="{top}" width="{max(1.0, median * scale):.1f}" height="18" rx="2" fill="{colour}"/>',
        f'<line x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}" stroke="{_LINE}" stroke-width="1.5"/>',
        f'<text x="{max(high, _LEFT + median * scale) + 8:.1f}" y="{top + 14}" fill="{_TEXT}">{shown(median)}</text>',
    ]
