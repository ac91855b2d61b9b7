# SPDX-License-Identifier: ISC
"""ABNF (RFC 5234, with the case-sensitive strings of RFC 7405) read from text,
to write what it allows at random and to tell what it does not allow.

Left recursion is not for this; counts such as "3rule" and "1*2rule" are."""
import re

TOKEN = re.compile(r"""\s*(?:
    (?P<comment>;.*) | (?P<text>(?:%[si])?"[^"]*") |
    (?P<num>%[xd][0-9A-Fa-f]+(?:-[0-9A-Fa-f]+|(?:\.[0-9A-Fa-f]+)+)?) |
    (?P<repeat>\d*\*\d*|\d+) | (?P<name>[A-Za-z][A-Za-z0-9-]*) |
    (?P<mark>[()\[\]/]))""", re.X)
ENDLESS = 1 << 30


def tokens(text):
    found, at = [], 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        if not match:
            raise ValueError("not ABNF: " + text[at:at + 40])
        if match.lastgroup != "comment":
            found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found


class Rules:
    """Nodes are tuples: (kind, ...). `hooks` has, for names of rules, a pair
    of functions: write() -> bytes, and read(bytes, at) -> ends, or None where
    the rule's own text says what is allowed."""

    def __init__(self):
        self.rules = {}
        self.hooks = {}
        self.cost = {}

    # ---- reading ABNF --------------------------------------------------------

    def add(self, text):
        logical = []
        for line in text.split("\n"):
            if line[:1].isspace() and logical:
                logical[-1] += "\n" + line
            elif line and not line.startswith(";"):
                logical.append(line)
        for rule in logical:
            match = re.match(r"([A-Za-z][A-Za-z0-9-]*)\s*(=/?)", rule)
            if not match:
                raise ValueError("not a rule: " + rule)
            rest = tokens(rule[match.end():])
            node = self.alternatives(rest)
            if rest:
                raise ValueError("left over: %r" % rest)
            name = match.group(1).lower()
            if match.group(2) == "=/" and name in self.rules:
                old = self.rules[name]
                more = node[1] if node[0] == "any" else [node]
                node = ("any", (old[1] if old[0] == "any" else [old]) + more)
            self.rules[name] = node
        self.cost = {}

    def alternatives(self, rest):
        found = [self.sequence(rest)]
        while rest and rest[0] == ("mark", "/"):
            rest.pop(0)
            found.append(self.sequence(rest))
        return found[0] if len(found) == 1 else ("any", found)

    def sequence(self, rest):
        found = []
        while rest and rest[0] not in (("mark", "/"), ("mark", ")"),
                                       ("mark", "]")):
            found.append(self.element(rest))
        return found[0] if len(found) == 1 else ("all", found)

    def element(self, rest):
        kind, text = rest.pop(0)
        if kind == "repeat":
            least, star, most = text.partition("*")
            least = int(least or 0)
            most = int(most) if most else ENDLESS if star else least
            return ("repeat", least, most, self.element(rest))
        if kind == "text":
            same = text.startswith("%s")
            return ("text", text[text.index('"') + 1:-1].encode(), same)
        if kind == "num":
            base = 16 if text[1] == "x" else 10
            if "-" in text:
                low, high = (int(n, base) for n in text[2:].split("-"))
                return ("range", low, high)
            return ("text", bytes(int(n, base) for n in text[2:].split(".")),
                    True)
        if kind == "name":
            return ("rule", text.lower())
        node = self.alternatives(rest)
        close = rest.pop(0)[1]
        if (text, close) == ("[", "]"):
            return ("repeat", 0, 1, node)
        if (text, close) != ("(", ")"):
            raise ValueError("brackets: %s %s" % (text, close))
        return node

    def missing(self):
        """Names that are used, and neither a rule nor a hook."""
        found, queue = set(), list(self.rules.values())
        while queue:
            node = queue.pop()
            if node[0] == "rule" and node[1] not in self.rules and \
                    node[1] not in self.hooks:
                found.add(node[1])
            elif node[0] in ("any", "all"):
                queue += node[1]
            elif node[0] == "repeat":
                queue.append(node[3])
        return found

    # ---- writing -------------------------------------------------------------

    def depth(self, node, seen=()):
        """How deep the shallowest text of the node is."""
        if node[0] in ("text", "range"):
            return 0
        if node[0] == "any":
            return min(self.depth(n, seen) for n in node[1])
        if node[0] == "all":
            return max([0] + [self.depth(n, seen) for n in node[1]])
        if node[0] == "repeat":
            return self.depth(node[3], seen) if node[1] else 0
        if node[1] in self.hooks:
            return 0
        if node[1] in seen:
            return ENDLESS
        if node[1] not in self.cost or seen:
            deep = 1 + self.depth(self.rules[node[1]], seen + (node[1],))
            if seen:
                return deep
            self.cost[node[1]] = deep
        return self.cost[node[1]]

    def write(self, random, name, limit=14):
        return self._write(random, ("rule", name), limit)

    def _write(self, r, node, limit):
        kind = node[0]
        if kind == "text":
            if node[2] or r.random() < .7:
                return node[1]
            return bytes(r.choice((c, c ^ 32)) if chr(c).isalpha() else c
                         for c in node[1])
        if kind == "range":
            return bytes([r.randint(node[1], node[2])])
        if kind == "any":
            choice = node[1]
            if limit <= 0:
                least = min(self.depth(n) for n in choice)
                choice = [n for n in choice if self.depth(n) == least]
            return self._write(r, r.choice(choice), limit)
        if kind == "all":
            return b"".join(self._write(r, n, limit) for n in node[1])
        if kind == "repeat":
            more = 0
            while limit > 0 and node[1] + more < node[2] and \
                    r.random() < .45:
                more += 1
            return b"".join(self._write(r, node[3], limit)
                            for _ in range(node[1] + more))
        if node[1] in self.hooks:
            return self.hooks[node[1]][0]()
        return self._write(r, self.rules[node[1]], limit - 1)

    # ---- reading what was written --------------------------------------------

    def allows(self, name, text):
        """Whether the rule allows the whole of `text`."""
        return len(text) in self._ends(("rule", name), text, 0, {})

    def ends(self, name, text, at):
        """All places in `text` where what the rule allows from `at` ends."""
        return self._ends(("rule", name), text, at, {})

    def _ends(self, node, text, at, known):
        """All places where something that the node allows ends."""
        key = (id(node) if node[0] != "rule" else node[1], at)
        if key not in known:
            known[key] = frozenset()  # left recursion finds nothing
            known[key] = frozenset(self._find(node, text, at, known))
        return known[key]

    def _find(self, node, text, at, known):
        kind = node[0]
        if kind == "text":
            part = text[at:at + len(node[1])]
            good = part == node[1] if node[2] else \
                part.lower() == node[1].lower()
            return {at + len(part)} if good else ()
        if kind == "range":
            good = at < len(text) and node[1] <= text[at] <= node[2]
            return {at + 1} if good else ()
        if kind == "any":
            return set().union(*(self._ends(n, text, at, known)
                                 for n in node[1]))
        if kind == "all":
            ends = {at}
            for n in node[1]:
                ends = set().union(*(self._ends(n, text, e, known)
                                     for e in ends))
            return ends
        if kind == "repeat":
            found, ends = ({at} if node[1] == 0 else set()), {at}
            count = 0
            while ends and count < node[2]:
                ends = set().union(*(self._ends(node[3], text, e, known)
                                     for e in ends))
                count += 1
                if count >= node[1]:
                    if ends <= found:
                        break
                    found |= ends
            return found
        hook = self.hooks.get(node[1])
        if hook and hook[1]:
            return hook[1](text, at)
        return self._ends(self.rules[node[1]], text, at, known)
