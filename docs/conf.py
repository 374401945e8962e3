"""How Sphinx builds the site: `hatch run docs`."""

from __future__ import annotations

project = "DKIST tasks and workflows"
author = "DKIST Data Center"
copyright = "DKIST Data Center"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_click",
    "sphinx_copybutton",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_typehints_format = "short"
maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
numpydoc_show_class_members = False
autosummary_generate = False  # numpydoc brings the extension along

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]

suppress_warnings = ["ref.python"]  # attributes of two classes with the same name, which no text refers to
