"""QR codes (ISO/IEC 18004) as pictures that stand in a page."""

import io

import segno


def qr_svg(text: str) -> str:
    """A QR code as an SVG picture, error correction at least L."""
    out = io.BytesIO()
    segno.make_qr(text, error="l").save(out, kind="svg", scale=4, border=4, xmldecl=False)
    return out.getvalue().decode().strip()
