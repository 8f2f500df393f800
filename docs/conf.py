"""Configuration of the documentation, for Sphinx."""

import inspect
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.util.inspect import signature
from sphinx.util.typing import stringify_annotation

sys.path[:0] = map(str, [Path(__file__).resolve().parent / "_ext", Path(__file__).parents[1]])

project = "websockets"
author = "The project's contributors"
html_title = "websockets"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "tables",
]
exclude_patterns = ["_build"]

# Every reference must lead somewhere, except to where the network would be needed: the standard
# library, and what a few signatures mention of others.
nitpicky = True
nitpick_ignore_regex = [
    (
        "py:.*",
        r"_?(asyncio|collections|concurrent|contextlib|http|logging|os|re|socket|ssl)(\..*)?",
    ),
    ("py:.*", r"(ssl_module|threading|time|trio|uuid|zlib)(\..*)?"),
    ("py:obj", "True|False"),
    # Of werkzeug.
    ("py:class", r"(werkzeug\.routing\.)?Map"),
    # What objects must have, iterators, and sockets with TLS, which aren't public names; and a type
    # variable.
    (
        "py:class",
        r"ws_auth\.basic\._Connection|([a-z_.]+\.)?(Stream|Waiter)",
    ),
    ("py:class", r"ws_protocol\.broadcast\._Recipient|ws_trio\._iterators\.Iterator"),
    # What docstrings of subclasses of Protocol call by its name alone, and is described there; and
    # two values that have no description.
    ("py:attr", r"extensions|handshake_exc|origin|subprotocol|Side\.(CLIENT|SERVER)"),
    ("py:meth", "events_received"),
]

default_role = "any"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
pygments_style = "default"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
python_maximum_signature_line_length = 80


def hide_colons(app, what, name, obj, options, lines):
    """Keep Napoleon from taking what stands before a colon for a type.

    Types stand in annotations here. But Napoleon looks for one in the first line of the docstring
    of an attribute, and in the first line of what is returned, so that those get another line
    before them, which shows nothing.
    """
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]
    elif "Returns:" in lines:
        first = lines.index("Returns:") + 1
        line = lines[first]
        if ":" in re.sub(":[a-z]+:`", "", line):
            indent = len(line) - len(line.lstrip())
            lines.insert(first, indent * " " + "\\ ")


def take_types_of_arguments(app, what, name, obj, options, args, retann):
    """Let arguments of classes have their own types.

    Sphinx takes those of attributes of the class, where they have the same names.
    """
    if what == "class" and "__init__" in vars(obj):
        types = app.env.current_document.autodoc_annotations.setdefault(name, {})
        attributes = inspect.get_annotations(obj)
        for argument, parameter in signature(obj.__init__).parameters.items():
            if argument in types and argument in attributes:
                types[argument] = stringify_annotation(parameter.annotation, "smart")


def strip_blocks(app, doctree):
    """Remove empty lines from the ends of blocks of code, which are parts of files."""
    for block in doctree.findall(nodes.literal_block):
        block.rawsource = block.astext().rstrip()
        block[:] = [nodes.Text(block.rawsource)]


def setup(app):
    """Tell Sphinx of what is defined here."""
    app.connect("doctree-read", strip_blocks)
    # Before Napoleon, whose priority is the default, 500.
    app.connect("autodoc-process-docstring", hide_colons, priority=400)
    app.connect("autodoc-process-signature", take_types_of_arguments)
