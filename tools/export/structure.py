"""The calls of modules that a description's steps make, and what goes into and out of each: from the flat program back to modules in modules."""


def references(value):
    if isinstance(value, str) and value.startswith("%"):
        yield value
    elif isinstance(value, list):
        for v in value:
            yield from references(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from references(v)


class Step:
    def __init__(self, entry):
        self.entry, self.parent = entry, None
        self.name = entry.get("name", "")
        self.made = ["%" + o[0] for o in entry["out"]]


class Call:
    """One call of a module: `items` are steps and calls in their order; `inputs` and `outputs` are references."""

    def __init__(self, scope, entry, parent):
        self.scope, self.parent, self.items = scope, parent, []
        self.path, self.cls = entry["path"], entry["class"]
        self.name = entry["name"]
        self.returns = entry.get("returns", [])                # the names of what its text returns
        self.inputs, self.outputs = [], []
        self.places = None                                     # of the outputs in what it returns, where that is known
        outer = parent.context if parent else ""
        inside = parent is None or not outer or self.path.startswith(outer + ".")
        self.context = self.path if inside else outer          # the path of what is inside
        self.label = (self.path[len(outer) + 1:] if outer else self.path) if inside else ""
        self.height = 0

    def chain(self):
        at, chain = self, []
        while at:
            chain.append(at)
            at = at.parent
        return chain[::-1]


class Structure:
    def __init__(self, description):
        self.d = description
        self.scopes = description["scopes"]
        self.results = list(references(description["results"]))
        steps = self.live([Step(s) for s in description["steps"]])
        self.root = Call(0, self.scopes[0], None)
        self.shape_of = {"%" + i["id"]: (i["shape"], i["type"]) for i in description["inputs"]}
        self.step_of = {}
        for s in steps:
            for o in s.entry["out"]:
                self.shape_of["%" + o[0]], self.step_of["%" + o[0]] = (o[1], o[2]), s.entry
        for p, e in description["parameters"].items():
            self.shape_of["%p:" + p] = (e["shape"], e["type"])
        for c, e in description["constants"].items():
            self.shape_of["%c:" + c] = (e["shape"], e["type"])
        self.build(self.root, steps)
        self.dissolve(self.root)
        self.flow()
        self.measure(self.root)

    def live(self, steps):
        """Without what no result reads."""
        wanted, kept = set(self.results), []
        for s in reversed(steps):
            if any(m in wanted for m in s.made):
                wanted.update(references(s.entry["in"]))
                kept.append(s)
        return kept[::-1]

    def ancestors(self, scope):
        chain = []
        while scope >= 0:
            chain.append(scope)
            scope = self.scopes[scope]["parent"]
        return chain[::-1]

    def build(self, call, steps):
        depth = len(self.ancestors(call.scope))
        i = 0
        while i < len(steps):
            chain = self.ancestors(steps[i].entry["scope"])
            if len(chain) <= depth:
                steps[i].parent = call
                call.items.append(steps[i])
                i += 1
                continue
            inner, k = chain[depth], i
            while k < len(steps) and inner in self.ancestors(steps[k].entry["scope"]):
                k += 1
            child = Call(inner, self.scopes[inner], call)
            self.build(child, steps[i:k])
            call.items.append(child)
            i = k

    def dissolve(self, call):
        """A call that reads no tensor from outside (a table of positions) is written where it is called."""
        items = []
        for item in call.items:
            if isinstance(item, Call):
                self.dissolve(item)
                made = {m for s in self.steps_in(item) for m in s.made}
                read = {r for s in self.steps_in(item) for r in references(s.entry["in"]) if not r.startswith(("%p:", "%c:"))}
                if not read - made:
                    for inner in item.items:
                        self.adopt(inner, item, call)
                        items.append(inner)
                    continue
            items.append(item)
        call.items = items

    def adopt(self, item, old, new):
        item.parent = new
        if isinstance(item, Call):
            item.label = item.path[len(new.context) + 1:] if new.context else item.path

    def steps_in(self, call):
        for item in call.items:
            if isinstance(item, Call):
                yield from self.steps_in(item)
            else:
                yield item

    def flow(self):
        """What goes into and out of each call, and who owns each parameter and constant."""
        made_in, users = {}, {}
        self.root.inputs = ["%" + i["id"] for i in self.d["inputs"]]
        for s in self.steps_in(self.root):
            for m in s.made:
                made_in[m] = s.parent
            for r in references(s.entry["in"]):
                users.setdefault(r, []).append(s.parent)
        for r in self.results:
            users.setdefault(r, []).append(self.root)
        self.owner = {}
        for r, calls in users.items():
            if r.startswith("%c:"):
                chains = [c.chain() for c in calls]
                common = chains[0]
                for chain in chains[1:]:
                    common = [a for a, b in zip(common, chain) if a is b]
                self.owner[r] = {c: common[-1] for c in calls}
            elif r.startswith("%p:"):
                path = r[3:]
                self.owner[r] = {}
                for c in calls:
                    chain = [a for a in c.chain() if not a.context or path.startswith(a.context + ".")]
                    self.owner[r][c] = chain[-1]
        order = []
        for s in self.steps_in(self.root):
            order += [(r, s.parent) for r in references(s.entry["in"])] + [(m, s.parent) for m in s.made]
        order += [(r, self.root) for r in self.results]
        for r, c in order:
            home = self.owner[r][c] if r in self.owner else made_in.get(r, self.root)
            home_chain, chain = home.chain(), c.chain()
            for a in chain:
                if a not in home_chain and r not in a.inputs:
                    a.inputs.append(r)
        for r, calls in users.items():
            if r in made_in:
                for a in made_in[r].chain():
                    if any(a not in c.chain() for c in calls) and r not in a.outputs:
                        a.outputs.append(r)
        number = {m: i for i, m in enumerate(m for s in self.steps_in(self.root) for m in s.made)}
        for c in self.calls(self.root):
            c.outputs.sort(key=lambda r: number[r])
            c.places = self.places(c)
            if c.places:
                c.outputs, c.places = zip(*sorted(zip(c.outputs, c.places), key=lambda pair: pair[1]))
        self.root.outputs = self.results

    @staticmethod
    def places(call):
        """Where each output stands in what the module returns: those with a name by their names; what is computed in the return itself, in order."""
        names = {}
        for item in call.items:
            made = item.outputs if isinstance(item, Call) else item.made
            given = item.name.split(",")
            if isinstance(item, Call) and item.places and len(given) == len(item.returns):
                given = [given[p] for p in item.places]
            names.update(zip(made, given if len(given) == len(made) else [""] * len(made)))
        named = [n for n in call.returns if n]
        places = {r: call.returns.index(names[r]) for r in call.outputs if named.count(names.get(r)) == 1}
        left = [r for r in call.outputs if r not in places]
        free = [i for i, n in enumerate(call.returns) if not n]
        if len(set(places.values())) < len(places) or len(left) not in (0, len(free)):
            return None
        places.update(zip(left, free))
        return [places[r] for r in call.outputs]

    def calls(self, call):
        for item in call.items:
            if isinstance(item, Call):
                yield from self.calls(item)
        yield call

    def measure(self, call):
        for item in call.items:
            if isinstance(item, Call):
                self.measure(item)
                call.height = max(call.height, item.height + 1)
