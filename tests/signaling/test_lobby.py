"""The lobby's verbs, and that no order of them lets in whom no host let in."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from signaling import lobby
from signaling.lobby import (
    ADMITTED_KEPT,
    EMPTY,
    INSIDE_KEPT,
    REFUSED_KEPT,
    STREAM_GONE,
    Guest,
    KnockNotFound,
    KnockRefused,
    Lobby,
    LobbyFull,
    Reason,
)

NOW = 1_800_000_000.0
MOST = 10


def knock(
    before: Lobby, name: str, *, reason: Reason = "lobby", now: float = NOW, network: str = "", number: int = 1
) -> Lobby:
    guest = Guest(name, name.title(), member=False, network=network or name)
    return lobby.knock(before, guest, reason, f"KN_{name}{number}", lobby.hash_secret(f"{name}{number}"), MOST, now)


def states(found: Lobby, now: float = NOW) -> dict[str, str]:
    return {one.identity: one.state for one in lobby.current(found, now).knocks}


def test_who_knocks_waits_in_the_order_of_arrival() -> None:
    found = knock(knock(EMPTY, "boris", now=NOW + 1), "anna", now=NOW + 2)
    assert [(one.id, one.name, one.since) for one in found.waiting] == [
        ("KN_boris1", "Boris", NOW + 1),
        ("KN_anna1", "Anna", NOW + 2),
    ]


def test_the_same_tab_replaces_itself_and_keeps_its_place() -> None:
    found = knock(knock(EMPTY, "anna", now=NOW), "boris", now=NOW + 1)
    found = knock(found, "anna", now=NOW + 30, number=2)
    assert [(one.id, one.since) for one in found.waiting] == [("KN_anna2", NOW), ("KN_boris1", NOW + 1)]
    assert lobby.opened_by(found, "KN_anna1", "anna1", NOW + 30) is None
    assert lobby.opened_by(found, "KN_anna2", "anna2", NOW + 30) == found.knocks[0]


def test_a_secret_opens_its_own_knock_alone() -> None:
    found = knock(knock(EMPTY, "anna"), "boris")
    assert lobby.opened_by(found, "KN_anna1", "anna1", NOW) == found.of("anna")
    for wrong in ("boris1", "", "\ud800", found.knocks[0].secret_hash, "x" * 100_000):
        assert lobby.opened_by(found, "KN_anna1", wrong, NOW) is None
    assert lobby.opened_by(found, "KN_nobody", "anna1", NOW) is None
    assert lobby.opened_by(found, "KN_anna1", "anna1", NOW + STREAM_GONE) is None


def test_what_became_of_knocks() -> None:
    two = knock(knock(EMPTY, "anna"), "boris")

    def told(before: Lobby, after: Lobby) -> list[tuple[str, str]]:
        return [(turn, one.identity) for turn, one in lobby.turns(before, after)]

    assert told(EMPTY, two) == [("knocked", "anna"), ("knocked", "boris")]
    assert told(two, two) == []
    assert told(two, knock(two, "anna", number=2)) == [], "a reload is no other knock"
    assert told(two, lobby.refuse(lobby.admit(two, "KN_anna1", NOW), "KN_boris1", NOW)) == [
        ("admitted", "anna"),
        ("refused", "boris"),
    ]
    assert told(two, lobby.withdraw(two, "KN_boris1", NOW)) == [("expired", "boris")]
    assert told(two, lobby.keep(two, ["KN_anna1"], NOW + STREAM_GONE)) == [("expired", "anna"), ("expired", "boris")]
    assert told(two, lobby.close(two, NOW)) == [("expired", "anna"), ("expired", "boris")]
    early = knock(EMPTY, "anna", reason="not_started")
    assert told(EMPTY, early) == [], "nobody can let in who waits for the host to come at all"
    admitted = lobby.admit_all(two, NOW)
    assert told(admitted, lobby.keep(admitted, [], NOW + ADMITTED_KEPT)) == [], "it had its answer"


def test_the_first_decision_stands() -> None:
    found = knock(knock(EMPTY, "anna"), "boris")
    found = lobby.refuse(lobby.admit(found, "KN_anna1", NOW), "KN_boris1", NOW)
    again = lobby.admit(lobby.refuse(lobby.admit(found, "KN_anna1", NOW + 9), "KN_anna1", NOW), "KN_boris1", NOW)
    assert again == found
    assert states(found) == {"anna": "admitted", "boris": "refused"}
    assert lobby.is_admitted(found, "anna", NOW)
    assert not lobby.is_admitted(found, "boris", NOW)
    for verb in (lobby.admit, lobby.refuse):
        with pytest.raises(KnockNotFound):
            verb(found, "KN_nobody", NOW)


def test_admitting_all_admits_those_who_wait_for_a_host() -> None:
    found = lobby.refuse(knock(knock(knock(EMPTY, "anna"), "boris"), "vera", reason="not_started"), "KN_boris1", NOW)
    found = lobby.admit_all(found, NOW)
    assert states(found) == {"anna": "admitted", "boris": "refused", "vera": "waiting"}
    assert lobby.admit_all(found, NOW) is found


def test_who_waits_for_a_host_is_not_theirs_to_decide_and_is_told_when_one_comes() -> None:
    found = knock(EMPTY, "anna", reason="not_started")
    assert found.waiting == ()
    with pytest.raises(KnockNotFound):
        lobby.admit(found, "KN_anna1", NOW)
    found = lobby.start(found, NOW)
    assert [one.reason for one in found.knocks] == ["started"]
    assert lobby.start(found, NOW) is found
    found = knock(found, "anna", number=2)
    assert [one.id for one in found.waiting] == ["KN_anna2"]


def test_a_knock_outlives_its_stream_for_a_minute() -> None:
    found = knock(EMPTY, "anna")
    found = lobby.keep(found, ["KN_anna1", "KN_nobody"], NOW + 50)
    assert states(found, NOW + 50 + STREAM_GONE - 1) == {"anna": "waiting"}
    assert states(found, NOW + 50 + STREAM_GONE) == {}
    assert lobby.keep(found, ["KN_anna1"], NOW + 50 + STREAM_GONE) == EMPTY


def test_who_was_let_in_has_some_minutes_and_may_come_back() -> None:
    found = lobby.admit(knock(EMPTY, "anna"), "KN_anna1", NOW)
    assert not lobby.is_admitted(found, "anna", NOW + ADMITTED_KEPT)
    found = lobby.enter(found, "anna", NOW + 10)
    assert lobby.is_admitted(found, "anna", NOW + INSIDE_KEPT)
    left = lobby.leave(found, "anna", NOW + 5000, may_return=True)
    assert lobby.is_admitted(left, "anna", NOW + 5000 + ADMITTED_KEPT - 1)
    assert not lobby.is_admitted(left, "anna", NOW + 5000 + ADMITTED_KEPT)
    assert lobby.leave(found, "anna", NOW + 5000, may_return=False) == EMPTY
    waiting = knock(EMPTY, "boris")
    assert lobby.enter(waiting, "boris", NOW) is waiting
    assert lobby.leave(waiting, "boris", NOW, may_return=False) is waiting


def test_who_was_refused_does_not_knock_again_at_once() -> None:
    found = lobby.refuse(knock(EMPTY, "anna"), "KN_anna1", NOW)
    with pytest.raises(KnockRefused):
        knock(found, "anna", now=NOW + REFUSED_KEPT - 1, number=2)
    assert states(knock(found, "anna", now=NOW + REFUSED_KEPT, number=2)) == {"anna": "waiting"}


def test_a_lobby_has_bounds() -> None:
    found = EMPTY
    for number in range(MOST // 2):
        found = knock(found, f"class {number}", network="school")
    with pytest.raises(LobbyFull, match="this address"):
        knock(found, "one more", network="school")
    assert knock(found, "class 0", network="school", number=2).of("class 0") is not None
    for number in range(MOST // 2):
        found = knock(found, f"other {number}")
    with pytest.raises(LobbyFull, match="more than 10"):
        knock(found, "late")
    assert knock(lobby.admit(found, "KN_other 01", NOW), "late").of("late") is not None


def test_a_message_is_for_this_gathering() -> None:
    found = lobby.say(EMPTY, "Five minutes!", NOW)
    assert lobby.current(found, NOW + 3600).message == "Five minutes!"
    assert lobby.current(found, NOW + lobby.MESSAGE_KEPT) == EMPTY
    assert lobby.say(found, "", NOW) == EMPTY


def test_when_the_meeting_is_over_nobody_waits_and_who_did_can_hear_it() -> None:
    three = knock(knock(knock(EMPTY, "anna"), "boris"), "vera", reason="not_started")
    found = lobby.close(lobby.say(lobby.admit(three, "KN_anna1", NOW), "Hello", NOW), NOW)
    assert (states(found), found.waiting, found.message) == ({"boris": "ended", "vera": "ended"}, (), "")
    assert lobby.admit(lobby.admit_all(found, NOW), "KN_boris1", NOW) == found, "nobody comes in any more"
    assert lobby.opened_by(found, "KN_boris1", "boris1", NOW) == found.of("boris")
    again = knock(found, "boris", now=NOW + 1, number=2)
    assert [(one.id, one.since) for one in again.waiting] == [("KN_boris2", NOW + 1)]
    assert states(found, NOW + STREAM_GONE) == {}
    assert lobby.close(EMPTY, NOW) is EMPTY


def test_what_becomes_of_the_meeting_is_news_to_who_waits() -> None:
    assert lobby.replan(EMPTY, NOW) is EMPTY
    admitted = lobby.admit(knock(EMPTY, "anna"), "KN_anna1", NOW)
    assert lobby.replan(admitted, NOW) is admitted, "who is let in finds it as it is"
    waiting = knock(admitted, "boris", reason="not_started")
    found = lobby.replan(lobby.replan(waiting, NOW), NOW)
    assert (found.revision, found.knocks) == (2, waiting.knocks)
    assert lobby.is_news(waiting, found)
    assert lobby.read(lobby.written(found)) == found
    assert lobby.read('{"knocks": [], "message": "", "message_until": 0}') == EMPTY, "as an older node writes it"
    assert lobby.close(found, NOW).revision == 2
    assert lobby.current(found, NOW + ADMITTED_KEPT) == EMPTY
    assert lobby.leave(lobby.withdraw(found, "KN_boris1", NOW), "anna", NOW, may_return=False) == EMPTY
    said = lobby.say(found, "Hello", NOW)
    assert lobby.current(said, NOW + lobby.MESSAGE_KEPT) == EMPTY


def test_who_waits_for_a_word_and_who_for_a_host() -> None:
    found = knock(knock(EMPTY, "anna"), "boris", reason="not_started")
    assert ([one.identity for one in found.waiting], [one.identity for one in found.early]) == (["anna"], ["boris"])
    assert found.is_waited_in
    assert not lobby.admit(knock(EMPTY, "anna"), "KN_anna1", NOW).is_waited_in


def test_taking_a_knock_back_takes_back_no_decision() -> None:
    found = lobby.admit(knock(knock(EMPTY, "anna"), "boris"), "KN_anna1", NOW)
    assert states(lobby.withdraw(lobby.withdraw(found, "KN_boris1", NOW), "KN_anna1", NOW)) == {"anna": "admitted"}


def test_news_is_what_somebody_sees() -> None:
    found = knock(EMPTY, "anna")
    assert lobby.is_news(EMPTY, found)
    assert not lobby.is_news(found, lobby.keep(found, ["KN_anna1"], NOW + 9))
    assert lobby.is_news(found, lobby.admit(found, "KN_anna1", NOW))
    assert lobby.is_news(found, lobby.say(found, "Hello", NOW))


def test_a_lobby_is_read_as_it_was_written() -> None:
    found = lobby.say(lobby.admit(knock(knock(EMPTY, 'анна "🚪"'), "boris"), "KN_boris1", NOW), "Да", NOW)
    assert lobby.read(lobby.written(found)) == found
    assert lobby.read(lobby.written(EMPTY).encode()) == EMPTY


NAMES = st.sampled_from(["anna", "boris", "vera", "gleb"])


class AnyOrder(RuleBasedStateMachine):
    """Events in any order; beside the lobby a plain record of whom hosts let in, and until when."""

    def __init__(self) -> None:
        super().__init__()
        self.lobby = EMPTY
        self.now = NOW
        self.numbers: dict[str, int] = {}
        self.let_in: dict[str, float] = {}

    def id_of(self, name: str) -> str:
        return f"KN_{name}{self.numbers.get(name, 0)}"

    def waits(self, name: str) -> bool:
        return any(one.id == self.id_of(name) for one in lobby.current(self.lobby, self.now).waiting)

    @rule(name=NAMES, reason=st.sampled_from(["lobby", "not_started"]))
    def somebody_knocks(self, name: str, reason: Reason) -> None:
        number = self.numbers.get(name, 0) + 1
        try:
            self.lobby = knock(self.lobby, name, reason=reason, now=self.now, number=number)
        except KnockRefused:
            return
        self.numbers[name] = number
        self.let_in.pop(name, None)

    @rule(name=NAMES, admitted=st.booleans())
    def a_host_decides(self, name: str, admitted: bool) -> None:
        waits = self.waits(name)
        try:
            self.lobby = (lobby.admit if admitted else lobby.refuse)(self.lobby, self.id_of(name), self.now)
        except KnockNotFound:
            return
        if waits and admitted:
            self.let_in[name] = self.now + ADMITTED_KEPT

    @rule()
    def a_host_admits_all(self) -> None:
        for name in self.numbers:
            if self.waits(name):
                self.let_in[name] = self.now + ADMITTED_KEPT
        self.lobby = lobby.admit_all(self.lobby, self.now)

    @rule()
    def a_host_comes(self) -> None:
        self.lobby = lobby.start(self.lobby, self.now)

    @rule(name=NAMES)
    def somebody_gives_up(self, name: str) -> None:
        self.lobby = lobby.withdraw(self.lobby, self.id_of(name), self.now)

    @rule(names=st.sets(NAMES))
    def streams_are_open(self, names: set[str]) -> None:
        self.lobby = lobby.keep(self.lobby, {self.id_of(name) for name in names}, self.now)

    @rule(name=NAMES)
    def somebody_enters(self, name: str) -> None:
        if self.let_in.get(name, 0.0) > self.now:
            self.let_in[name] = self.now + INSIDE_KEPT
        self.lobby = lobby.enter(self.lobby, name, self.now)

    @rule(name=NAMES, may_return=st.booleans())
    def somebody_leaves(self, name: str, may_return: bool) -> None:
        if self.let_in.get(name, 0.0) > self.now:
            self.let_in[name] = self.now + ADMITTED_KEPT if may_return else 0.0
        self.lobby = lobby.leave(self.lobby, name, self.now, may_return=may_return)

    @rule()
    def the_meeting_ends(self) -> None:
        self.lobby = lobby.close(self.lobby, self.now)
        self.let_in.clear()

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0, 400.0, 90_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.numbers)
    @invariant()
    def only_whom_a_host_let_in_comes_in(self) -> None:
        for name in self.numbers:
            assert lobby.is_admitted(self.lobby, name, self.now) == (self.let_in.get(name, 0.0) > self.now)

    @invariant()
    def each_has_one_knock_and_a_store_keeps_it(self) -> None:
        identities = [one.identity for one in self.lobby.knocks]
        assert len(identities) == len(set(identities))
        assert lobby.read(lobby.written(self.lobby)) == self.lobby


TestAnyOrder = AnyOrder.TestCase
