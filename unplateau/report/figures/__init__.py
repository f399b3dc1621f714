"""Figures as inline SVG: a chart is plain data, and one function turns it into a string. No drawing library, no script needed."""
