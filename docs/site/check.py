#!/usr/bin/env python3
"""`check.py FOLDER`: every link of the built site leads to a page and a place that are there, and nothing is loaded from elsewhere."""
import os
import re
import sys
import urllib.parse
from html.parser import HTMLParser

root = sys.argv[1]
pages, problems = {}, []


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.places, self.links, self.loads = {"", "__skip", "__comments", "__toc"}, [], []

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.places |= {a[k] for k in ("id", "name") if a.get(k) and (k == "id" or tag == "a")}
        if tag == "a" and "href" in a:
            self.links.append(a["href"])
        elif tag in ("script", "img", "iframe", "source", "video") and a.get("src"):
            self.loads.append(a["src"])
        elif tag == "link" and a.get("href") and a.get("rel") not in ("canonical",):
            self.loads.append(a["href"])


for folder, _, files in os.walk(root):
    for file in files:
        path = os.path.relpath(os.path.join(folder, file), root)
        if file.endswith(".html"):
            pages[path] = Page()
            with open(os.path.join(root, path)) as f:
                pages[path].feed(f.read())
        elif file.endswith(".css"):
            with open(os.path.join(root, path)) as f:
                problems += [f"{path}: loads {u}" for u in re.findall(r"url\((?:'|\")?(https?:[^)]*)", f.read())]

for path, page in pages.items():
    for link in page.links + page.loads:
        url = urllib.parse.urlsplit(link)
        if url.scheme or url.netloc:
            if link in page.loads and url.scheme != "data":
                problems.append(f"{path}: loads {link}")
            continue
        to = os.path.normpath(os.path.join(os.path.dirname(path), urllib.parse.unquote(url.path))) if url.path else path
        if os.path.isdir(os.path.join(root, to)):
            to = os.path.normpath(os.path.join(to, "index.html"))
        if not os.path.exists(os.path.join(root, to)):
            problems.append(f"{path}: {link} is not there")
        elif url.fragment and to in pages and urllib.parse.unquote(url.fragment) not in pages[to].places:
            problems.append(f"{path}: {link} has no such place")

for problem in sorted(set(problems)):
    print(problem, file=sys.stderr)
print(f"{len(pages)} pages, {sum(len(p.links) for p in pages.values())} links, {len(set(problems))} wrong")
sys.exit(bool(problems))
