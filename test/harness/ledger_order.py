"""Which versions of a wallet an answer may have seen, by the clock: none older than what was
answered before it was asked, and nothing of what was asked after it was answered.
"""

import bisect


class Order:
    """What is known of a wallet's moves by the clock."""

    def __init__(self, moves):
        ended, begun = [], []
        for ask, move in moves.items():
            got = [attempt.got for attempt in ask.attempts if attempt.decided]
            if got:
                ended.append((min(got), move.last))
            begun.append((ask.attempts[0].sent, move.first))
        self.ended = _running(sorted(ended), max)
        self.begun = _running(sorted(begun, reverse=True), min)[::-1]

    def newest_before(self, time):
        """The last version that somebody had been told of by then; 0: none."""
        place = bisect.bisect_left(self.ended, time, key=lambda one: one[0])
        return self.ended[place - 1][1] if place else 0

    def oldest_after(self, time):
        """The first version of what was asked for only then; None: none."""
        place = bisect.bisect_right(self.begun, time, key=lambda one: one[0])
        return self.begun[place][1] if place < len(self.begun) else None

    def unexplained(self, stills, versions, explains):
        """Gives each the first version that explains it, no earlier than those that were answered
        before it was asked; tells of those for which there is none."""
        answered = []  # (time, the newest version given to an answer until then)
        waiting = []  # answers whose version is known and whose time is not over: (got, version)
        for one in sorted(stills, key=lambda one: one.sent):
            sent, got = one.sent, one.got
            waiting.sort()
            while waiting and waiting[0][0] < sent:
                _, version = waiting.pop(0)
                answered.append(max(version, answered[-1] if answered else 0))
            first = max(self.newest_before(sent), answered[-1] if answered else 0)
            last = self.oldest_after(got) if got else None
            start = bisect.bisect_left(versions, first)
            end = len(versions) if last is None else bisect.bisect_left(versions, last)
            found = next((v for v in versions[start:end] if explains(one, v)), None)
            if found is None:
                yield one, f"of {versions[start:end][:1]} to {versions[start:end][-1:]}"
            elif got is not None:
                waiting.append((got, found))


def _running(pairs, choose):
    """The pairs with the choice of all values up to each."""
    chosen, result = None, []
    for time, value in pairs:
        chosen = value if chosen is None else choose(chosen, value)
        result.append((time, chosen))
    return result
