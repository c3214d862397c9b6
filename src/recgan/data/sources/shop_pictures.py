"""Pictures of the simulated shop's products, drawn by code: a few hundred bytes of SVG in the address itself.

What a picture shows is the category, in the colours of the brand. One of five shades tells a brand's products
apart a little; it comes from the product's number, which says nothing of taste.
"""

from colorsys import hls_to_rgb
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa

from recgan.data.sources.shop_fashion import fashion_pictures
from recgan.data.sources.shop_world import CATEGORIES, Catalogue

_LINE = "fill='none'"
_DOT = "stroke-width='5'"

GLYPHS = {
    "shoes": "<path d='M7 32V19l5 2 4-3 9 10 13 3q4 1 4 7H7zM7 33h34'/>",
    "bags": f"<path {_LINE} d='M17 18v-3a7 7 0 0 1 14 0v3'/><path d='M10 18h28l3 22H7z'/>",
    "beauty": "<path d='M20 8h8v8h-8zM14 16h20v24H14zM14 25h20'/>",
    "shirts": "<path d='M17 9 6 16l5 8 5-3v19h16V21l5 3 5-8-11-7q-7 7-14 0z'/>",
    "grocery": f"<path {_LINE} d='m14 20 6-11m14 11L28 9'/>"
    "<path d='M6 20h36l-4 19H10zM18 26v7M24 26v7M30 26v7'/>",
    "dresses": "<path d='m18 8 2 10-9 22h26l-9-22 2-10-6 4z'/>",
    "jewellery": f"<circle {_LINE} cx='24' cy='31' r='10'/><path d='M17 8h14l4 5-11 9-11-9z'/>",
    "coffee": f"<path {_LINE} d='M34 22h3a5 5 0 0 1 0 10h-4M17 13q-3-3 0-6M26 13q-3-3 0-6'/>"
    "<path d='M9 19h25v11a10 10 0 0 1-10 10h-5A10 10 0 0 1 9 30z'/>",
    "trousers": "<path d='M14 8h20l4 32H28l-4-20-4 20H10z'/>",
    "kitchen": "<path d='M9 20h30v16q0 4-4 4H13q-4 0-4-4zM6 20h36M24 20v-6M20 14h8M4 27h5M39 27h5'/>",
    "jackets": "<path d='m17 8-9 5-3 22 7 1 1-9v14h22V27l1 9 7-1-3-22-9-5-7 6zM24 14v27'/>",
    "pets": "<ellipse cx='24' cy='32' rx='9' ry='7'/><circle cx='12' cy='22' r='4'/>"
    "<circle cx='19' cy='13' r='4'/><circle cx='29' cy='13' r='4'/><circle cx='36' cy='22' r='4'/>",
    "sports": "<path d='M14 22h20v4H14zM7 15h7v18H7zM34 15h7v18h-7z'/>",
    "lighting": "<path d='M17 8h14l6 16H11zM24 24v16M15 40h18'/>",
    "furniture": "<path d='M14 8h20v16H14zM11 24h26v6H11zM14 30v10M34 30v10'/>",
    "bedding": "<path d='M6 28h36v8H6zM10 20h12v8H10zM26 20h12v8H26zM6 14v26M42 28v12'/>",
    "garden": "<path d='M14 28h20l-3 12H17zM24 28V16M24 21q-10 0-10-10 10 0 10 10M24 18q0-9 9-9 0 9-9 9'/>",
    "tools": "<path d='M12 9h20q6 0 8 7h-8v3H12zM20 19h6v22h-6z'/>",
    "toys": "<path d='M8 25h15v15H8zM25 25h15v15H25zM16 8h15v15H16z'/>",
    "books": "<path d='M24 13q-8-5-17-2v27q9-3 17 2 8-5 17-2V11q-9-3-17 2v27'/>",
    "music": f"<path {_LINE} d='M19 34V11l18-4v22'/>"
    "<circle cx='14' cy='34' r='5'/><circle cx='32' cy='30' r='5'/>",
    "games": "<rect x='9' y='9' width='30' height='30' rx='6'/>"
    f"<path {_DOT} d='M17 17h.1M31 17h.1M24 24h.1M17 31h.1M31 31h.1'/>",
    "phones": "<rect x='14' y='6' width='20' height='36' rx='4'/><path d='M22 36h4'/>",
    "audio": f"<path {_LINE} d='M10 30v-6a14 14 0 0 1 28 0v6'/><path d='M7 28h7v12H7zM34 28h7v12h-7z'/>",
    "cameras": f"<path d='M6 15h10l3-5h10l3 5h10v24H6z'/><circle {_LINE} cx='24' cy='26' r='7'/>",
    "computers": "<path d='M11 11h26v20H11zM5 35h38v4H5z'/>",
    "health": f"<rect x='8' y='8' width='32' height='32' rx='8'/><path {_DOT} d='M24 17v14M17 24h14'/>",
    "baby": "<path d='M21 6h6v6h-6zM17 12h14v5H17zM15 17h18v21q0 4-4 4H19q-4 0-4-4zM15 26h6M15 32h6'/>",
    "wine": "<path d='M15 8h18v8a9 9 0 0 1-18 0zM24 25v14M16 40h16'/>",
    "stationery": "<path d='m32 7 9 9-22 22-12 3 3-12zM27 12l9 9'/>",
    "art": "<path d='M24 8C12 8 6 16 6 25s8 15 16 15c4 0 3-4 2-6-1-3 1-5 4-5h7c5 0 7-4 7-8 0-8-8-13-18-13z'/>"
    f"<path {_DOT} d='M15 22h.1M22 16h.1M32 18h.1'/>",
    "watches": f"<path d='M18 6h12l1 10H17zM17 32h14l-1 10H18z'/><circle cx='24' cy='24' r='10'/>"
    f"<path {_LINE} d='M24 18v6l4 3'/>",
    "fragrance": "<path d='M19 7h10v6H19zM21 13h6v5h-6z'/>"
    "<rect x='11' y='18' width='26' height='23' rx='4'/>",
    "outdoor": f"<circle cx='24' cy='24' r='16'/><path {_LINE} d='m31 17-4 10-10 4 4-10z'/>",
    "travel": f"<path {_LINE} d='M18 15V9h12v6'/><rect x='9' y='15' width='30' height='24' rx='3'/>"
    "<path d='M17 15v24M31 15v24'/>",
    "cycling": "<circle cx='12' cy='31' r='8'/><circle cx='36' cy='31' r='8'/>"
    f"<path {_LINE} d='m12 31 7-14h12l5 14M19 17l6 14H12M25 31l6-14M31 17l-2-5h5M16 14h6'/>",
    "swimming": "<path d='M5 18h38q0 14-10 14-6 0-9-7-3 7-9 7Q5 32 5 18z'/>",
    "running": f"<circle cx='24' cy='27' r='14'/><path {_LINE} d='M24 27v-8M20 6h8M24 6v7'/>",
    "fishing": f"<path d='M6 24q12-15 27-2l9-7v18l-9-7Q18 39 6 24z'/><path {_DOT} d='M15 22h.1'/>",
    "camping": "<path d='M24 9 5 39h38zM24 22l-8 17h16z'/>",
}  # fmt: skip
"""Of 48 x 48, one a category."""

_SHADES = 5


def picture(category: str, brand: int, number: int) -> str:
    """Return the address of a product's picture: all of it, as a `data:` URL."""
    hue = brand * 0.381966 % 1  # the golden angle: brands that are numbered in a row are far apart
    shade = number % _SHADES - _SHADES // 2
    paper, line = _colour(hue, 0.92, 0.45), _colour(hue, 0.27, 0.4)
    fill = _colour(hue + 0.05 * shade, 0.66 + 0.03 * shade, 0.55)
    drawn = (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 48 48'>"
        f"<path fill='{paper}' d='M0 0h48v48H0z'/><g fill='{fill}' stroke='{line}' stroke-width='2' "
        f"stroke-linecap='round' stroke-linejoin='round'>{GLYPHS[category]}</g></svg>"
    )
    return "data:image/svg+xml," + quote(drawn, safe=" '/:=,.")


def pictured(catalogue: Catalogue, folder: Path | None) -> pa.Array:
    """Return (items,) addresses of pictures, in the order of the catalogue.

    Args:
        catalogue: of the shop.
        folder: of Fashion-MNIST's idx files, whose images come in place of drawings where they fit; None
            draws all.
    """
    taken = {} if folder is None else fashion_pictures(catalogue, folder)
    columns = (catalogue.category, catalogue.brand, catalogue.number)
    return pa.array(
        [
            taken.get(place) or picture(CATEGORIES[category], brand, number)
            for place, (category, brand, number) in enumerate(
                zip(*(column.tolist() for column in columns), strict=True)
            )
        ],
        pa.string(),
    )


def _colour(hue: float, lightness: float, saturation: float) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in hls_to_rgb(hue % 1, lightness, saturation))
