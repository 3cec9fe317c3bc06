"""A participant's transports: opened with the first description, started with the client's, restarted on resume."""

from __future__ import annotations

from media.commands import AllowPauses, CloseTransport, OpenTransport, RestartIce
from signaling.effects import Effect, Engine, StartDtls, StopDtls
from signaling.negotiation import LocalParameters, Negotiation, RemoteParameters
from signaling.participant import Participant, Transport
from signaling.room import Room

RELIABLE = "_reliable"
LOSSY = "_lossy"
DATA_TRACK = "_data_track"
# Opened by us on the primary transport where we offer it, in this order (LIVEKIT.md 4.2).
CHANNELS = (RELIABLE, LOSSY, DATA_TRACK)


def open_transport(room: Room, participant: Participant, *, sending: bool) -> tuple[Transport, list[Effect]]:
    """Makes the transport on which we send to the client, or on which it sends to us; with a single one, both."""
    single, quirks = participant.single, participant.quirks
    sending = sending or single
    number = room.numbers.transport(sending=sending)
    ufrag, pwd = room.numbers.credentials(number)
    negotiation = Negotiation(
        local_parameters(room, participant, ufrag, pwd),
        frozenset(mime.lower() for mime in room.codecs) - quirks.lacks,
        quirks,
        session_id=room.numbers.session_id(),
        application=sending and participant.subscriber_primary,
        single=single,
    )
    transport = Transport(number, negotiation, ufrag)
    if sending:
        participant.subscriber = transport
    if single or not sending:
        participant.publisher = transport
    room.transports[number] = (participant, transport)
    opened: list[Effect] = [Engine(OpenTransport(number, ufrag, pwd))]
    if sending and participant.joining.allow_pause:
        opened.append(Engine(AllowPauses(number, allowed=True)))
    return transport, opened


def local_parameters(room: Room, participant: Participant, ufrag: str, pwd: str) -> LocalParameters:
    """Our side of a transport with these ICE credentials: all candidates, or those of the preferred protocol."""
    everything, preferred = room.place.candidates, participant.preferred_protocol
    candidates = tuple(candidate for candidate in everything if candidate.protocol == preferred) or everything
    return LocalParameters(ufrag, pwd, room.place.fingerprint, candidates)


def restart_ice(room: Room, participant: Participant, transport: Transport) -> tuple[LocalParameters, Effect]:
    """New ICE credentials; DTLS, SCTP and media go on over the old path until the new one is nominated."""
    ufrag, pwd = room.numbers.credentials(transport.number)
    transport.ufrag = ufrag
    return local_parameters(room, participant, ufrag, pwd), Engine(RestartIce(transport.number, ufrag, pwd))


def start_dtls(participant: Participant, transport: Transport, remote: RemoteParameters) -> list[Effect]:
    """Begins DTLS with the first description of the client's; nothing afterwards."""
    if transport.dtls_started:
        return []
    transport.dtls_started = True
    opens = transport is participant.subscriber and participant.subscriber_primary
    return [
        StartDtls(
            participant.sid,
            transport.number,
            {fingerprint.algorithm: fingerprint.value for fingerprint in remote.fingerprints},
            client=remote.setup == "passive",
            channels=CHANNELS if opens else (),
        )
    ]


def close_transports(room: Room, participant: Participant) -> list[Effect]:
    """Ends its transports; tracks and subscriptions on them go with them in the engine."""
    effects: list[Effect] = []
    for _, transport in participant.transports():
        room.transports.pop(transport.number, None)
        effects += [StopDtls(transport.number), Engine(CloseTransport(transport.number))]
    participant.publisher = participant.subscriber = None
    return effects
