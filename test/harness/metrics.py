"""Reads the Prometheus text format strictly enough to notice when it is wrong."""

import re

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


class Metrics:
    """samples: {(name, ((label, value), ...)): number}; families: {name: (type, help)}, as sent."""

    def __init__(self, text):
        self.families = {}
        self.samples = {}
        helps = {}
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name, helps[name] = line[7:].split(" ", 1)
            elif line.startswith("# TYPE "):
                name, kind = line[7:].split(" ")
                assert name not in self.families, f"{name} is declared twice"
                self.families[name] = (kind, helps[name])
            else:
                self._sample(line)

    def _sample(self, line):
        match = _SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        name, labels, number = match.groups()
        pairs = tuple(_LABEL.findall(labels or ""))
        assert "".join(f'{label}="{value}",' for label, value in pairs).rstrip(",") == (
            labels or ""
        )
        assert self.family_of(name), f"{name} has no TYPE line"
        assert (name, pairs) not in self.samples, f"twice: {line!r}"
        self.samples[name, pairs] = float(number)

    def family_of(self, sample):
        for name in (sample, re.sub(r"_(bucket|sum|count)$", "", sample)):
            if name in self.families:
                return name
        return None

    def value(self, name, **labels):
        """The sum over all samples of this name that carry these labels; 0 when there is none."""
        wanted = labels.items()
        return sum(
            number
            for (sample, pairs), number in self.samples.items()
            if sample == name and wanted <= dict(pairs).items()
        )

    def labels(self, name, label):
        return {dict(pairs)[label] for sample, pairs in self.samples if sample == name}

    def buckets(self, name, **labels):
        """[(le, count)] of one histogram, in the order written."""
        found = []
        for (sample, pairs), number in self.samples.items():
            own = dict(pairs)
            if sample == name + "_bucket" and labels.items() <= own.items():
                found.append((own["le"], number))
        return found
