"""Who comes in, who waits, who is refused: every decision by its reason."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from hypothesis import given, seed
from hypothesis import strategies as st

from server.entrance import (
    AccountRequired,
    Caller,
    Enter,
    EntranceRefused,
    KeptOut,
    Live,
    MeetingCancelled,
    MeetingFull,
    MeetingLocked,
    PasscodeRequired,
    Wait,
    WrongPasscode,
    decide,
    identity_of,
)
from server.meeting_settings import ALL_PERMITTED, MeetingSettings
from server.meetings import Meeting
from server.texts import WrongInput
from server.tickets import Ticket, TicketRefused
from signaling.rules import Rules
from signaling.token import Role

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
ANNA = Caller("Anna", tab=bytes(16), browser=b"a browser")
HOST = replace(ANNA, role="host")
MEMBER = replace(ANNA, account_id="AC_1")
RUN: dict[str, Role] = {"account-host": "host"}


def meeting(**settings: object) -> Meeting:
    return Meeting(
        id="MT_1",
        code="bcdf-ghjk-mnpq",
        room_name="room",
        title="",
        description="",
        kind="instant",
        settings=MeetingSettings.model_validate(settings),
        schedule=None,
        host_secret_hash=bytes(32),
        identity_key=bytes(32),
        owner_id=None,
        sequence=0,
        version=1,
        created_at=NOW,
        updated_at=NOW,
        cancelled_at=None,
    )


def test_without_further_decisions_everybody_comes_in_as_what_they_are() -> None:
    for caller, role in ((ANNA, "attendee"), (HOST, "host"), (replace(ANNA, role="cohost"), "cohost")):
        entered = decide(meeting(), Live(), caller)
        assert isinstance(entered, Enter)
        assert (entered.role, entered.grants.role, entered.grants.name) == (role, role, "Anna")
        video = entered.grants.video
        assert (video.room, video.room_join) == ("room", True)
        assert True not in (video.room_admin, video.room_create, video.room_list, video.room_record, video.hidden)


def test_the_token_brings_the_rules_that_the_room_starts_with() -> None:
    entered = decide(meeting(mute_on_entry=True, allow=["chat"], max_participants=9), Live(), ANNA)
    assert isinstance(entered, Enter)
    start = entered.grants.room_config
    assert start is not None
    assert Rules.read(start.metadata) == Rules(mute_on_entry=True, allow=frozenset({"chat"}))
    assert start.max_participants == 9


def test_a_name_that_cannot_be_shown_is_refused_before_all() -> None:
    with pytest.raises(WrongInput, match=r"^name: "):
        decide(meeting(passcode="4711"), Live(), replace(ANNA, name=" "))


def test_a_passcode_is_asked_of_those_who_were_not_invited() -> None:
    with pytest.raises(PasscodeRequired):
        decide(meeting(passcode="4711"), Live(), ANNA)
    for wrong in ("4712", "471", "47111", "код"):
        with pytest.raises(WrongPasscode):
            decide(meeting(passcode="4711"), Live(), replace(MEMBER, passcode=wrong))
    for right in (
        replace(ANNA, passcode=" 4711 "),
        HOST,
        replace(MEMBER, role="attendee"),
        replace(ANNA, admitted=True),
    ):
        assert isinstance(decide(meeting(passcode="4711"), Live(), right), Enter)


def test_guests_come_in_where_the_service_lets_them() -> None:
    with pytest.raises(AccountRequired):
        decide(meeting(), Live(), ANNA, guests=False)
    assert isinstance(decide(meeting(), Live(), MEMBER, guests=False), Enter)
    assert isinstance(decide(meeting(), Live(), HOST, guests=False), Enter)


def test_before_the_host_people_wait_where_the_host_wants_that() -> None:
    closed = meeting(join_before_host=False, lobby="all")
    assert decide(closed, Live(), ANNA) == Wait(identity_of(closed, ANNA), "not_started")
    assert decide(closed, Live(inside={"x": "attendee"}), ANNA) == Wait(identity_of(closed, ANNA), "not_started")
    assert decide(closed, Live(inside=RUN), ANNA) == Wait(identity_of(closed, ANNA), "lobby")
    assert isinstance(decide(closed, Live(), HOST), Enter)


def test_the_lobby_is_for_whom_the_host_says() -> None:
    for policy, waits in (("off", []), ("guests", [ANNA]), ("all", [ANNA, MEMBER, replace(MEMBER, role="attendee")])):
        for caller in (ANNA, MEMBER, replace(MEMBER, role="attendee"), HOST):
            outcome = decide(meeting(lobby=policy), Live(), caller)
            assert isinstance(outcome, Wait if caller in waits else Enter), (policy, caller)
    assert isinstance(decide(meeting(lobby="all"), Live(), replace(ANNA, admitted=True)), Enter)


def test_a_locked_or_full_meeting_takes_hosts_and_those_who_are_inside() -> None:
    here: dict[str, Role] = {identity_of(meeting(), ANNA): "attendee"}
    for live, refusal in (
        (Live(inside=RUN, locked=True), MeetingLocked),
        (Live(inside=RUN | {"b": "attendee"}), MeetingFull),
        (Live(inside={"b": "attendee"}), MeetingFull),  # the last place is a host's
    ):
        room = meeting(max_participants=2)
        with pytest.raises(refusal):
            decide(room, live, ANNA)
        assert isinstance(decide(room, live, HOST), Enter)
        assert isinstance(decide(room, replace(live, inside={**live.inside, **here}), ANNA), Enter)


def test_who_has_just_left_a_locked_meeting_comes_back() -> None:
    live = Live(locked=True, returning={identity_of(meeting(), ANNA)})
    assert isinstance(decide(meeting(), live, ANNA), Enter)


def test_who_was_admitted_still_finds_the_door_locked() -> None:
    with pytest.raises(MeetingLocked):
        decide(meeting(lobby="all"), Live(locked=True), replace(ANNA, admitted=True))


def test_a_role_given_inside_counts_when_somebody_comes_back() -> None:
    given: dict[str, Role] = {identity_of(meeting(), ANNA): "cohost"}
    entered = decide(meeting(lobby="all"), Live(locked=True, given=given), ANNA)
    assert isinstance(entered, Enter)
    assert entered.role == "cohost"
    taken: dict[str, Role] = {identity_of(meeting(), ANNA): "attendee"}
    back = decide(meeting(), Live(given=taken), replace(ANNA, role="cohost"))
    assert isinstance(back, Enter)
    assert back.role == "attendee"
    owner = decide(meeting(), Live(given=taken), HOST)
    assert isinstance(owner, Enter)
    assert owner.role == "host"


def test_who_is_kept_out_stays_out_in_another_tab() -> None:
    kept = Live(kept_out=[identity_of(meeting(), ANNA)])
    for caller in (ANNA, replace(ANNA, tab=b"x" * 16), replace(ANNA, admitted=True), replace(ANNA, role="cohost")):
        with pytest.raises(KeptOut):
            decide(meeting(), kept, caller)
    for other in (HOST, replace(ANNA, browser=b"another"), MEMBER, replace(ANNA, browser=None, tab=b"y" * 16)):
        assert isinstance(decide(meeting(), kept, other), Enter)
    account = Live(kept_out=[identity_of(meeting(), MEMBER)])
    with pytest.raises(KeptOut):
        decide(meeting(), account, MEMBER)
    assert isinstance(decide(meeting(), account, replace(MEMBER, account_id="AC_2")), Enter)


def test_nobody_comes_into_a_cancelled_meeting() -> None:
    for caller in (ANNA, HOST):
        with pytest.raises(MeetingCancelled):
            decide(replace(meeting(), cancelled_at=NOW), Live(), caller)


def test_a_tab_is_the_same_person_and_another_is_not() -> None:
    callers = [ANNA, replace(ANNA, tab=b"x" * 16), replace(ANNA, browser=b"y"), MEMBER, replace(MEMBER, account_id="B")]
    identities = [identity_of(meeting(), caller) for caller in callers]
    assert len(set(identities)) == 5
    assert identities == [identity_of(meeting(), caller) for caller in callers]
    assert identity_of(meeting(), MEMBER) == identity_of(meeting(), replace(MEMBER, tab=b"x" * 16, browser=None))
    other = replace(meeting(), identity_key=b"k" * 32)
    assert not set(identities) & {identity_of(other, caller) for caller in callers}


CALLERS = st.builds(
    Caller,
    name=st.just("Anna"),
    tab=st.sampled_from([bytes(16), b"x" * 16]),
    browser=st.sampled_from([None, b"a", b"b"]),
    account_id=st.sampled_from([None, "AC_1"]),
    role=st.sampled_from([None, "host", "cohost", "attendee"]),
    passcode=st.sampled_from(["", "4711", "4712"]),
    admitted=st.booleans(),
)
SETTINGS = st.fixed_dictionaries(
    {
        "passcode": st.sampled_from(["", "4711"]),
        "lobby": st.sampled_from(["off", "guests", "all"]),
        "join_before_host": st.booleans(),
        "max_participants": st.sampled_from([0, 1, 2]),
        "allow": st.lists(st.sampled_from(ALL_PERMITTED)),
    }
)


@seed(6)
@given(CALLERS, SETTINGS, st.booleans(), st.lists(CALLERS, max_size=3), st.lists(CALLERS, max_size=2), st.booleans())
def test_whoever_comes_in_has_met_every_condition(
    caller: Caller, settings: dict[str, object], locked: bool, inside: list[Caller], out: list[Caller], guests: bool
) -> None:
    """Stated the other way round than the decision is written: from the outcome to what must have been so."""
    place = meeting(**settings)
    people = {identity_of(place, one): one.role or "attendee" for one in inside}
    live = Live(inside=people, locked=locked, kept_out={identity_of(place, one) for one in out})
    try:
        outcome = decide(place, live, caller, guests=guests)
    except EntranceRefused:
        return
    assert caller.role == "host" or identity_of(place, caller) not in live.kept_out
    if isinstance(outcome, Wait) or outcome.role != "attendee":
        return
    assert caller.role in (None, "attendee")
    assert guests or caller.account_id
    if place.settings.passcode:
        assert caller.passcode == "4711" or caller.role == "attendee" or caller.admitted
    if identity_of(place, caller) not in people:
        assert not locked
        assert place.settings.join_before_host or live.has_host
        assert (
            caller.admitted
            or place.settings.lobby == "off"
            or (place.settings.lobby, bool(caller.account_id))
            == (
                "guests",
                True,
            )
        )


def bearer(**said: object) -> Caller:
    """Somebody with a ticket, who says another name."""
    given = {"meeting": "MT_1", "identity": "crm-1", "name": "Vera", "role": "attendee", "skip_lobby": True, **said}
    return replace(ANNA, ticket=Ticket.model_validate(given))


def test_a_ticket_says_who_comes_and_as_what() -> None:
    entered = decide(meeting(passcode="4711", lobby="all"), Live(), bearer(publish=False, attributes={"a": "b"}))
    assert isinstance(entered, Enter)
    grants = entered.grants
    assert (grants.identity, grants.name, grants.role, grants.attributes) == ("crm-1", "Vera", "attendee", {"a": "b"})
    assert (grants.video.can_publish, grants.video.can_subscribe, grants.video.can_publish_data) == (False, True, True)
    entered = decide(meeting(lobby="all"), Live(locked=True), bearer(role="cohost", skip_lobby=False), guests=False)
    assert isinstance(entered, Enter)
    assert entered.role == "cohost"


def test_a_ticket_waits_where_it_does_not_skip_the_lobby() -> None:
    waiting = bearer(skip_lobby=False)
    for policy in ("guests", "all"):
        assert decide(meeting(lobby=policy), Live(), waiting) == Wait("crm-1", "lobby")
    assert isinstance(decide(meeting(lobby="all"), Live(), replace(waiting, admitted=True)), Enter)
    assert isinstance(decide(meeting(lobby="off"), Live(), waiting, guests=False), Enter)
    assert decide(meeting(join_before_host=False), Live(), bearer()) == Wait("crm-1", "not_started")


def test_a_ticket_is_no_way_around_what_hosts_decide_later() -> None:
    with pytest.raises(KeptOut):
        decide(meeting(), Live(kept_out=["crm-1"]), bearer())
    with pytest.raises(MeetingLocked):
        decide(meeting(), Live(locked=True), bearer())
    with pytest.raises(MeetingFull):
        decide(meeting(max_participants=2), Live(RUN | {"another": "attendee"}), bearer())
    with pytest.raises(MeetingCancelled):
        decide(replace(meeting(), cancelled_at=NOW), Live(), bearer())
    with pytest.raises(TicketRefused):
        decide(meeting(), Live(), replace(bearer(meeting="MT_2"), role="host"))
    with pytest.raises(TicketRefused):
        decide(replace(meeting(), ticket_series=1), Live(), bearer())
    # Nor does it make its bearer who else they are.
    entered = decide(meeting(), Live(), replace(bearer(), role="host", account_id="AC_1"))
    assert isinstance(entered, Enter)
    assert (entered.role, entered.grants.identity) == ("attendee", "crm-1")
