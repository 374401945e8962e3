"""How Sphinx builds the site: `hatch run docs`."""

from __future__ import annotations

project = "DKIST tasks and workflows"
author = "DKIST Data Center"
copyright = "DKIST Data Center"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]

suppress_warnings = ["ref.python"]  # attributes of two classes with the same name, which no text refers to
