#!/usr/bin/env python3
"""`pages.py FOLDER`: everything that MkDocs reads, from docs/, README.md, the headers' comments (Doxygen's XML) and this folder. What is
missing or wrong (a public name without a comment, a page that no group names, a link to a file that is not there) ends it with 1.
`pages.py --check`: the same without writing a page; needs no MkDocs."""
import glob
import html
import json
import os
import re
import shutil
import sys

import plots
from reference import Reference

# The groups of docs/*.md, in their order. One with ? need not be there; one that stands in no group is an error.
GROUPS = {
    "Start": ["first_program.md", "install.md", "tutorial.md", "examples.md"],
    "How to": ["training.md", "layers.md", "networks.md?", "from_pytorch.md?", "exported_headers.md?", "nnunet.md?", "volumes.md", "imaging.md?", "files.md", "distributed.md?", "platforms.md?",
               "adding_an_operation.md"],
    "Explanation": ["performance.md", "architecture.md", "compile_cost.md"],
}
REFERENCE = ["semantics.md", "errors.md"]
TITLES = {"first_program.md": "First program", "install.md": "Install", "layers.md": "Layers for real networks", "compile_cost.md": "Compile cost",
          "volumes.md": "Volumes of any size", "files.md": "Files", "adding_an_operation.md": "Add an operation"}
SOURCE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="{up}assets/source.css"><script src="{up}assets/source.js" data-up="{up}"></script></head>
<body><header><a href="{up}index.html">Volute</a> {title}</header>{body}</body></html>
"""


class Site:
    def __init__(self, folder):
        self.folder, self.sources, self.folders = folder, set(), set()
        self.reference = Reference("build/site.doxygen/xml")
        self.problems = self.reference.problems
        self.docs = {os.path.basename(p): open(p).read() for p in sorted(glob.glob("docs/*.md"))}
        with open("README.md") as f:
            self.readme = f.read()
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", self.readme):
            if not os.path.exists(link):
                self.problems.append(f"README.md: links to {link}, which is not there")
        self.docs["install.md"] = "# Install\n" + self.section("Use it").replace("## Use it", "") + "\n" + self.section("Licence")
        for name in ("CONTRIBUTING", "CHANGELOG"):
            with open(name + ".md") as f:
                self.docs[name.lower() + ".md"] = f.read()

    def section(self, heading):
        found = re.search(rf"^## {heading}\n.*?(?=^## |\Z)", self.readme, re.M | re.S)
        if not found:
            self.problems.append(f"README.md: no section {heading}")
        return found[0] if found else ""

    def navigation(self):
        named, nav = set(), [{"Home": "index.md"}]
        for group, pages in GROUPS.items():
            here = []
            for page in pages:
                name = page.rstrip("?")
                named.add(name)
                if name in self.docs:
                    here.append({TITLES[name]: name} if name in TITLES else name)
                elif not page.endswith("?"):
                    self.problems.append(f"docs/site/pages.py: no page {name}")
            nav.append({group: here})
        named |= {*REFERENCE, "contributing.md", "changelog.md"}
        self.problems += [f"docs/{name}: stands in no group of docs/site/pages.py" for name in self.docs if name not in named]
        return nav

    def target(self, link, page):
        """Where a link of a page in docs/ leads on the site. Files outside become pages of source text."""
        path, _, mark = link.partition("#")
        if re.match(r"\w+:", link) or not path or path.startswith("reference/"):
            return link
        here = {"contributing.md": "", "changelog.md": "", "install.md": ""}.get(page, "docs")
        full = os.path.normpath(os.path.join(here, path))
        if full == "README.md":
            return "install.md" if mark == "use-it" else "index.md"
        if full in ("CONTRIBUTING.md", "CHANGELOG.md"):
            return full.lower()
        if os.path.dirname(full) == "docs" and os.path.basename(full) in self.docs:
            return os.path.basename(full) + (f"#{mark}" if mark else "")
        if os.path.isdir(full):
            self.folders.add(full)
            self.sources |= set(self.files_of(full))
            return f"source/{full}/index.html"
        if not os.path.isfile(full):
            self.problems.append(f"{page}: links to {link}, which is not there")
            return link
        if full.endswith((".png", ".svg")):
            return os.path.basename(full)
        self.sources.add(full)
        return f"source/{full}.html"

    def render(self, page, text):
        """Markdown of docs/ as MkDocs wants it, with names of the library linked to the reference."""
        text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.S)
        out, fenced = [], False
        for line in text.split("\n"):
            if line.startswith("```"):
                fenced = not fenced
                line = re.sub(r"^```cpp body", "```cpp", line)
            elif not fenced:
                line = re.sub(r"(?<=\]\()([^)\s]+)(?=\))", lambda m: self.target(m[1], page), line)
                if not line.startswith("#"):
                    line = re.sub(r"(\[[^\]]*\]\([^)]*\))|`([^`]+)`", lambda m: m[1] or self.reference.link(m[2], page, "volute::"), line)
            out.append(line)
        text = "\n".join(out)
        text = re.sub(r"(?:^\|.*\n){40,}", lambda m: f"<details markdown><summary>The table, {m[0].count(chr(10)) - 2} rows</summary>\n\n{m[0]}\n</details>\n", text, flags=re.M)
        text = re.sub(r"^!\[([^\]]*)\]\((\w+\.svg)\)$", lambda m: self.drawing(m[1], m[2]), text, flags=re.M)
        for heading, figure in plots.FIGURES.get(page, {}).items():
            mark = re.search(rf"^{re.escape(heading)}\n", text, re.M)
            if not mark:
                self.problems.append(f"docs/{page}: no heading '{heading}' for a picture")
                continue
            try:
                text = text[:mark.end()] + "\n" + figure(self.docs) + "\n" + text[mark.end():]
            except plots.Missing as e:
                self.problems.append(f"docs/{page}: {e}")
        return text

    @staticmethod
    def drawing(title, file):
        """A picture of Graphviz in the page itself, so that its colours follow the page's."""
        with open("docs/" + file) as f:
            svg = re.search(r"<svg.*</svg>", f.read(), re.S)[0]
        svg = re.sub(r"<!--.*?-->|<title>.*?</title>", "", svg, flags=re.S)
        width = int(re.search(r'width="(\d+)pt"', svg)[1])
        svg = re.sub(r'width="\d+pt" height="\d+pt"', f'role="img" aria-label="{html.escape(title)}" style="min-width:{width * 4 // 5}px;max-width:{width * 3 // 2}px"',
                     svg, count=1)
        return '<figure class="drawing">' + re.sub(r"\n\s*", "\n", svg) + "</figure>"

    def home(self):
        with open("docs/site/index.md") as f:
            text = f.read()
        program = re.search(r"```cpp\n.*?```", self.readme, re.S)[0]
        bullets = [re.sub(r"\(docs/", "(", b) for b in re.findall(r"^- \*\*.*?(?=^- |^\n|\n\n)", self.section("What it is"), re.M | re.S)]
        try:
            speed = plots.home(self.docs)
        except plots.Missing as e:
            self.problems.append(f"docs/performance.md: {e}")
            speed = ""
        parts = {"program": program, "particular": "".join(bullets), "missing": self.section("What is not there yet").split("\n", 1)[1],
                 "speed": speed}
        return re.sub(r"\{\{ (\w+) \}\}", lambda m: parts[m[1]], text)

    def source_page(self, path):
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import TextLexer, get_lexer_for_filename
        from pygments.util import ClassNotFound
        try:
            lexer = get_lexer_for_filename(path.replace(".inc", ".cpp"))
        except ClassNotFound:
            lexer = TextLexer()
        with open(path) as f:
            body = highlight(f.read(), lexer, HtmlFormatter(linenos="inline", anchorlinenos=True, lineanchors="L"))
        to = f"{self.folder}/pages/source/{path}.html"
        os.makedirs(os.path.dirname(to), exist_ok=True)
        with open(to, "w") as f:
            f.write(SOURCE.format(title=path, up="../" * (path.count("/") + 1), body=body))

    @staticmethod
    def files_of(folder):
        return sorted(os.path.join(at, f) for at, _, files in os.walk(folder) for f in files)

    def folder_page(self, folder):
        rows = "".join(f'<a href="{os.path.relpath(f, folder)}.html">{f}</a>\n' for f in self.files_of(folder))
        to = f"{self.folder}/pages/source/{folder}/index.html"
        os.makedirs(os.path.dirname(to), exist_ok=True)
        with open(to, "w") as f:
            f.write(SOURCE.format(title=folder, up="../" * (folder.count("/") + 2), body=f"<pre>{rows}</pre>"))

    def write(self):
        pages = self.folder + "/pages"
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree("docs/site/assets", pages + "/assets")
        for picture in glob.glob("docs/*.png") + glob.glob("docs/*.dot") + glob.glob("docs/*.svg"):
            shutil.copy(picture, pages)
        nav = self.navigation()
        nav.append({"Reference": [(items := self.reference.write(pages))[0], *REFERENCE, *items[1:]]})
        nav.append({"Project": [{"Contributing": "contributing.md"}, {"Changelog": "changelog.md"}]})
        for page, text in {"index.md": self.home(), **self.docs}.items():
            with open(f"{pages}/{page}", "w") as f:
                f.write(self.render(page, text))
        self.sources |= {"include/" + d.file for d in self.reference.declarations} | self.reference.examples.used | {"LICENSE"}
        for path in sorted(self.sources):
            self.source_page(path)
        for folder in sorted(self.folders):
            self.folder_page(folder)
        with open("docs/site/mkdocs.yml") as f, open(self.folder + "/mkdocs.yml", "w") as to:
            to.write(f.read() + "nav: " + json.dumps(nav) + "\n")

    def check(self):
        self.navigation()
        self.reference.put = lambda *_: None
        self.reference.write("")
        for page, text in {"index.md": self.home(), **self.docs}.items():
            self.render(page, text)


if __name__ == "__main__":
    site = Site("build/site.mkdocs")
    site.check() if sys.argv[1:] == ["--check"] else site.write()
    for problem in dict.fromkeys(site.problems):
        print(problem, file=sys.stderr)
    print(f"reference: {sum(len(e.names) for e in site.reference.entries())} public names on {len(site.reference.pages)} pages")
    sys.exit(bool(site.problems))
