// LiveKit's Node server SDK administers a room: what it got goes to stdout as JSON.
//   node administer.mjs URL KEY SECRET ROOM

import { AccessToken, RoomServiceClient, TokenVerifier, TwirpError } from 'livekit-server-sdk';

const [url, key, secret, room] = process.argv.slice(2);
const service = new RoomServiceClient(url, key, secret);
const found = {};

const token = new AccessToken(key, secret, { identity: 'carol', name: 'Carol', ttl: '10m' });
token.addGrant({ roomJoin: true, room });
found.identity = (await new TokenVerifier(key, secret).verify(await token.toJwt())).sub;

const made = await service.createRoom({ name: room, emptyTimeout: 77, maxParticipants: 9, metadata: 'first' });
found.made = [made.name, made.emptyTimeout, made.maxParticipants, made.metadata];
found.listed = (await service.listRooms([room])).map((one) => one.sid === made.sid);
found.changed = (await service.updateRoomMetadata(room, 'second')).metadata;
found.participants = (await service.listParticipants(room)).length;
await service.sendData(room, new Uint8Array([1, 2, 3]), 0, { topic: 'any' });
found.absent = await service.getParticipant(room, 'nobody').catch((error) => [error instanceof TwirpError, error.status, error.code]);
const other = new RoomServiceClient(url, key, 'x'.repeat(32));
found.forged = await other.listRooms().catch((error) => error.status);
await service.deleteRoom(room);
found.left = (await service.listRooms([room])).length;
console.log(JSON.stringify(found));
