//! What a media thread does with its connections: frames in, and their end told to the shard.

use std::time::Instant;

use engine::Shard;

use crate::acceptor::Newcomer;
use crate::connections::Incoming;
use crate::readiness::Ready;
use crate::thread::Outflow;

/// What comes in from connections.
pub(crate) struct FramedInflow {
    incoming: Incoming,
    ready: Vec<Ready>,
    /// Some connection is readable, or writable again.
    pub(crate) is_ready: bool,
}

impl FramedInflow {
    pub(crate) fn new() -> Self {
        Self { incoming: Incoming::new(), ready: Vec::new(), is_ready: false }
    }

    /// Takes over a connection whose first check has come. It stays where that check proves a transport of this shard.
    pub(crate) fn welcome(&mut self, now: Instant, shard: &mut Shard, outflow: &mut Outflow<'_>, newcomer: Newcomer) {
        let path = newcomer.path;
        // One of the same two addresses has ended, or this one could not have come.
        if let Some(old) = outflow.connections.find(path) {
            end(shard, outflow, old);
        }
        let Some(place) = outflow.connections.adopt(now, newcomer, &mut self.incoming) else { return };
        self.incoming.each(|datagram| shard.handle_datagram(now, now, path, datagram));
        if shard.serves(path) {
            outflow.connections.prove(place);
        } else {
            outflow.connections.refuse(place);
        }
    }

    /// Reads and writes those connections that are ready.
    pub(crate) fn receive(&mut self, shard: &mut Shard, outflow: &mut Outflow<'_>) {
        self.is_ready = false;
        let Self { incoming, ready, .. } = self;
        outflow.connections.poll(ready);
        for Ready { key, readable, writable } in ready.drain(..) {
            let place = key as usize;
            if writable {
                outflow.connections.flush(place);
            }
            let Some(path) = outflow.connections.path(place).filter(|_| readable) else { continue };
            let goes_on = outflow.connections.read(place, incoming);
            let now = Instant::now();
            incoming.each(|datagram| shard.handle_datagram(now, now, path, datagram));
            if !goes_on {
                end(shard, outflow, place);
            }
        }
    }
}

fn end(shard: &mut Shard, outflow: &mut Outflow<'_>, place: usize) {
    if let Some(path) = outflow.connections.close(place) {
        shard.handle_closed_path(path);
    }
}
