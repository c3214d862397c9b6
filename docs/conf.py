"""The documentation site: `make docs` writes it to docs/_site, without any network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import generate

generate.write(Path(__file__).parent / "generated")

project = "recgan"
author = copyright = "The authors of recgan"  # noqa: A001  (Sphinx's own name)
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_site"]
myst_heading_anchors = 4  # links to headings are checked as GitHub names them
myst_enable_extensions = ["html_image"]
html_theme = "furo"
html_title = "recgan"
html_static_path: list[str] = []
html_show_sphinx = html_show_copyright = False
html_copy_source = False
