"""The part of the packaging that pyproject.toml cannot say; everything else is there.

The recipes live in `configs/` at the top, where a reader of the repository looks for them, and are installed as the
data package `seqrec_plugin.configs`, where an installed `seqrec` finds them. `web_page` is what `make web` built; it
is packed where it is there.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["seqrec_plugin", "seqrec_plugin.*"]), "seqrec_plugin.configs"],
    package_dir={"seqrec_plugin.configs": "configs"},
    package_data={"seqrec_plugin": ["py.typed", "web_page/*", "preparing/*.html"], "seqrec_plugin.configs": ["*.yaml"]},
)
