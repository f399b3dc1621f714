"""MiniMarket: a small re-ID data set drawn by our own code, so that everything can be tried without any download.

Persons walk past six cameras; `render` writes them as files in Market-1501's layout. Nothing here reads a data set.
"""

from unplateau.data.minimarket.render import VERSION, render

__all__ = ["VERSION", "render"]
