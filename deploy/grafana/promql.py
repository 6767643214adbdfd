"""The part of PromQL that the dashboard uses, evaluated on scrapes that lie on disk.

It follows Prometheus: rates extrapolate to the edges of their window and survive a counter's
reset, quantiles interpolate inside their bucket, instant values look back. Anything else is refused
with an error. So the dashboard's own expressions can be drawn and tested without a server.
"""

import math
import operator
import re

LOOKBACK_S = 300.0

_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)",?')
_TOKEN = re.compile(
    r"""\s*(?:(?P<duration>\[\d+(?:ms|s|m|h|d)\])
          |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
          |(?P<string>"(?:[^"\\]|\\.)*")
          |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
          |(?P<op>=~|!~|==|!=|>=|<=|[-+*/(){},=<>]))""",
    re.VERBOSE,
)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_AGGREGATES = {"sum": sum, "min": min, "max": max, "count": len, "avg": lambda v: sum(v) / len(v)}
_FUNCTIONS = {"rate", "increase", "histogram_quantile", "vector"}
_LEVELS = [("or",), ("and", "unless"), ("==", "!=", ">", "<", ">=", "<="), ("+", "-"), ("*", "/")]


def _divide(a, b):
    if b:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a)


_ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": _divide}
_COMPARISON = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


class PromqlError(ValueError):
    """Not in the part of the language that is understood here, or wrong in itself."""


class Series:
    """Samples by metric name and labels: {name: {((label, value), ...): [(time, number), ...]}}."""

    def __init__(self):
        self.by_name = {}

    def add_scrape(self, time, text, **target):
        """One answer of /metrics, with the labels that Prometheus would add for its target."""
        for line in text.splitlines():
            if line and not line.startswith("#"):
                head, _, number = line.rpartition(" ")
                name, brace, rest = head.partition("{")
                labels = dict(_LABEL.findall(rest[:-1])) if brace else {}
                key = tuple(sorted({**labels, **target}.items()))
                self.by_name.setdefault(name, {}).setdefault(key, []).append((time, float(number)))

    def names(self):
        return set(self.by_name)


# Parsing: a node is a tuple whose first member says what it is.


class _Parser:
    def __init__(self, text):
        self.tokens = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if not match:
                raise PromqlError(f"not understood: {text[position:]!r}")
            self.tokens.append((match.lastgroup, match.group(match.lastgroup)))
            position = match.end()
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else (None, None)

    def take(self, value=None):
        kind, found = self.peek()
        if found is None or value not in (None, found):
            raise PromqlError(f"expected {value!r}, found {found!r}")
        self.at += 1
        return kind, found

    def has(self, value):
        if self.peek()[1] == value:
            self.at += 1
            return True
        return False

    def whole(self):
        node = self.binary(0)
        if self.peek()[0] is not None:
            raise PromqlError(f"left over: {self.tokens[self.at :]}")
        return node

    def binary(self, level):
        if level == len(_LEVELS):
            return self.primary()
        left = self.binary(level + 1)
        while self.peek()[1] in _LEVELS[level]:
            op = self.take()[1]
            on = self.label_list() if self.has("on") else None
            left = ("binary", op, on, left, self.binary(level + 1))
        return left

    def label_list(self):
        self.take("(")
        labels = []
        while not self.has(")"):
            labels.append(self.take()[1])
            self.has(",")
        return tuple(labels)

    def arguments(self):
        self.take("(")
        found = []
        while not self.has(")"):
            found.append(self.binary(0))
            self.has(",")
        return found

    def primary(self):
        if self.has("("):
            node = self.binary(0)
            self.take(")")
            return node
        kind, text = self.take()
        if kind == "number":
            return ("number", float(text))
        if kind != "name":
            raise PromqlError(f"unexpected {text!r}")
        if text in _AGGREGATES:
            by = self.label_list() if self.has("by") else None
            arguments = self.arguments()
            if by is None and self.has("by"):
                by = self.label_list()
            return ("aggregate", text, by or (), *arguments)
        if self.peek()[1] == "(":
            if text not in _FUNCTIONS:
                raise PromqlError(f"the function {text} is not known here")
            return ("call", text, self.arguments())
        return self.selector(text)

    def selector(self, name):
        matchers = []
        if self.has("{"):
            while not self.has("}"):
                label, op, (kind, value) = self.take()[1], self.take()[1], self.take()
                if kind != "string" or op not in ("=", "!=", "=~", "!~"):
                    raise PromqlError(f"not a matcher: {label}{op}{value}")
                matchers.append((label, op, re.sub(r"\\(.)", r"\1", value[1:-1])))
                self.has(",")
        window = None
        if self.peek()[0] == "duration":
            number, unit = re.fullmatch(r"\[(\d+)(\w+)\]", self.take()[1]).groups()
            window = float(number) * _SECONDS[unit]
        return ("selector", name, matchers, window)


def parse(text):
    return _Parser(text).whole()


_COMPOUND = ("selector", "binary", "aggregate", "call")


def metric_names(node):
    """Every metric name in a parsed expression."""
    if node[0] == "selector":
        return {node[1]}
    names = set()
    for part in node:
        for child in part if isinstance(part, list) else [part]:
            if isinstance(child, tuple) and child and child[0] in _COMPOUND:
                names |= metric_names(child)
    return names


# Evaluation: a value is a number, or a vector {labels: number}.


def _matches(labels, matchers):
    own = dict(labels)
    for label, op, wanted in matchers:
        value = own.get(label, "")
        same = value == wanted if op in ("=", "!=") else re.fullmatch(wanted, value) is not None
        if same != (op in ("=", "=~")):
            return False
    return True


def _extrapolated(samples, start, end, per_second):
    """Prometheus' extrapolatedRate for a counter; None with fewer than two samples."""
    if len(samples) < 2:
        return None
    total, previous = 0.0, samples[0][1]
    for _, number in samples[1:]:
        total += number - previous if number >= previous else number
        previous = number
    sampled = samples[-1][0] - samples[0][0]
    if sampled <= 0:
        return None
    step = sampled / (len(samples) - 1)
    before, after = samples[0][0] - start, end - samples[-1][0]
    if total > 0 and samples[0][1] >= 0:  # a counter does not start below zero
        before = min(before, sampled * samples[0][1] / total)
    if before >= 1.1 * step:
        before = step / 2
    if after >= 1.1 * step:
        after = step / 2
    total *= (sampled + before + after) / sampled
    return total / (end - start) if per_second else total


def _quantile(q, buckets):
    """histogram_quantile of one group: [(upper edge, cumulative count)]."""
    buckets = sorted(buckets)
    if len(buckets) < 2 or not math.isinf(buckets[-1][0]) or not buckets[-1][1] > 0:
        return math.nan
    for position in range(1, len(buckets)):  # made monotonic, as Prometheus does
        edge, count = buckets[position]
        buckets[position] = (edge, max(count, buckets[position - 1][1]))
    rank = q * buckets[-1][1]
    index = next(i for i, (_, count) in enumerate(buckets) if count >= rank)
    if index == len(buckets) - 1:
        return buckets[-2][0]
    low, below = buckets[index - 1] if index else (0.0, 0.0)
    high, count = buckets[index]
    return low + (high - low) * (rank - below) / (count - below) if count > below else high


def _only(labels, wanted):
    return tuple(pair for pair in labels if pair[0] in wanted)


def _without(labels, unwanted):
    return tuple(pair for pair in labels if pair[0] not in unwanted)


class _Evaluation:
    def __init__(self, series, time):
        self.series = series
        self.time = time

    def value(self, node):
        return getattr(self, "_" + node[0])(*node[1:])

    def _number(self, number):
        return number

    def _select(self, node, window=None):
        if node[0] != "selector" or not (node[3] or window):
            raise PromqlError("a rate needs a selector with a range")
        _, name, matchers, own = node
        start = self.time - (own or window)
        for labels, samples in self.series.by_name.get(name, {}).items():
            if _matches(labels, matchers):
                inside = [sample for sample in samples if start < sample[0] <= self.time]
                if inside:
                    yield (*labels, ("__name__", name)), inside, start

    def _selector(self, *parts):
        if parts[2] is not None:
            raise PromqlError("a range vector is no value by itself")
        node = ("selector", *parts)
        return {labels: inside[-1][1] for labels, inside, _ in self._select(node, LOOKBACK_S)}

    def _call(self, name, arguments):
        if name == "vector":
            return {(): self.value(arguments[0])}
        if name == "histogram_quantile":
            return self._histogram_quantile(self.value(arguments[0]), self.value(arguments[1]))
        result = {}
        for labels, inside, start in self._select(arguments[0]):
            found = _extrapolated(inside, start, self.time, name == "rate")
            if found is not None:
                result[_without(labels, {"__name__"})] = found
        return result

    def _histogram_quantile(self, q, vector):
        groups = {}
        for labels, count in vector.items():
            edge = float(dict(labels)["le"].replace("+Inf", "inf"))
            groups.setdefault(_without(labels, {"le", "__name__"}), []).append((edge, count))
        return {labels: _quantile(q, buckets) for labels, buckets in groups.items()}

    def _aggregate(self, name, by, argument):
        groups = {}
        for labels, number in self.value(argument).items():
            groups.setdefault(_only(labels, by), []).append(number)
        return {labels: _AGGREGATES[name](numbers) for labels, numbers in groups.items()}

    def _binary(self, op, on, left, right):
        left, right = self.value(left), self.value(right)
        if op in ("and", "or", "unless"):
            return self._set(op, on, left, right)
        if not isinstance(left, dict) and not isinstance(right, dict):
            return _ARITHMETIC[op](left, right)

        def combine(labels, a, b, result):
            if op in _ARITHMETIC:
                result[_without(labels, {"__name__"})] = _ARITHMETIC[op](a, b)
            elif _COMPARISON[op](a, b):
                result[labels] = a

        result = {}
        if not isinstance(right, dict):
            for labels, number in left.items():
                combine(labels, number, right, result)
        elif not isinstance(left, dict):
            for labels, number in right.items():
                combine(labels, left, number, result)
        else:
            others = {self._key(on, labels): number for labels, number in right.items()}
            if len(others) != len(right):
                raise PromqlError("many-to-many matching")
            for labels, number in left.items():
                key = self._key(on, labels)
                if key in others:
                    combine(labels, number, others[key], result)
        return result

    @staticmethod
    def _key(on, labels):
        return _without(labels, {"__name__"}) if on is None else _only(labels, on)

    def _set(self, op, on, left, right):
        keys = {self._key(on, labels) for labels in right}
        if op == "and":
            return {labels: v for labels, v in left.items() if self._key(on, labels) in keys}
        if op == "unless":
            return {labels: v for labels, v in left.items() if self._key(on, labels) not in keys}
        mine = {self._key(on, labels) for labels in left}
        rest = {labels: v for labels, v in right.items() if self._key(on, labels) not in mine}
        return {**left, **rest}


def evaluate(node, series, time):
    """An instant query: {((label, value), ...): number}; a number is a vector of one."""
    value = _Evaluation(series, time).value(node)
    return value if isinstance(value, dict) else {(): value}
